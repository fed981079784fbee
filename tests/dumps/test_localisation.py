import numpy as np
import pytest
import torch

from sightlines.core import files
from sightlines.core.errors import ConfigError, ResultError
from sightlines.datasets.reading import normalise
from sightlines.dumps import localisation, localisation_hsic
from sightlines.dumps.localisation_hsic import cell_positions, centred_pairs, token_patch_hsic
from sightlines.dumps.localisation_reading import LocalisationDump
from sightlines.models.layers import block_outputs, capture
from tests.dumps.making_experiments import (
    RESNET,
    VIT,
    make_dataset,
    make_network,
    make_reference,
    open_shown,
    record,
)
from tests.reference.cka_song import hsic_song
from tests.rounding import assert_rounded

REFERENCE = [11, 11, 5]
GAP = VIT | {"pool": "gap"}


@pytest.fixture
def experiment(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    make_reference(dataset, tmp_path / "reference.safetensors", REFERENCE)
    return dataset


def reference_of(experiment):
    return experiment.parents[1] / "reference.safetensors"


def dump(tmp_path, experiment, config, change=None):
    folder = tmp_path / config["family"]
    model = make_network(folder, config, experiment, change=change)
    path = folder / "localisation.safetensors"
    record("localisation", folder, experiment, reference_of(experiment), path)
    return model.eval(), path


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def weighted_hsic(x, y):
    x, y = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (x, y))
    x, y = x - x.mean(0), y - y.mean(0)
    return len(x) * (len(x) - 3) * hsic_song(x @ x.T, y @ y.T)


def assert_hsic(found, expected, x, size):
    """Sums over the features x [n, features] in float32, over pairs of images in float64.

    Means round as large as they are, and are then removed: what is left has that error.
    """
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    lost = max(np.abs(x).max() / np.abs(x - x.mean(0)).max(), 1)
    assert_rounded(found, expected, terms=x.shape[1], size=size * lost, dtype=np.float32)


def cells_in_loops(maps, grid):
    """Every cell's features, row after row, in float64."""
    height, width = maps.shape[2] // grid[0], maps.shape[3] // grid[1]
    for row in range(grid[0]):
        for column in range(grid[1]):
            upper, left = row * height, column * width
            yield maps[:, :, upper : upper + height, left : left + width].double().numpy()


@pytest.mark.parametrize("config", [VIT, GAP, RESNET], ids=["cls", "gap", "resnet"])
def test_dump_agrees_with_loops_over_tokens_and_patches(tmp_path, experiment, config):
    model, path = dump(tmp_path, experiment, config)
    found = LocalisationDump(path)
    splits = files.TensorReader(tmp_path / "reference.safetensors")
    layers = block_outputs(open_shown(path.parent, experiment, reference_of(experiment)).layers)
    names = ["block00.out", "block01.out", *([] if config is RESNET else ["norm"])]
    assert [row["name"] for row in found.layers] == names
    assert found.grid == ((4, 4) if config is RESNET else (2, 2))
    assert found.has_cls == (config is VIT)
    begin = np.cumsum([0, *REFERENCE])
    for minibatch in (0, 2):  # the last is ragged
        kept = {}
        chosen = splits["reference"][begin[minibatch] : begin[minibatch + 1]]
        pixels = np.load(experiment.parent / "test_images.npy")[chosen].transpose(0, 3, 1, 2)
        pixels = torch.from_numpy(np.ascontiguousarray(pixels))
        images = normalise(pixels, [0.5] * 3, [0.25] * 3)
        with (
            torch.inference_mode(),
            capture(model, layers, lambda i, x, kept=kept: kept.update({i: x.clone()})),
        ):
            model(images)
        patches = list(cells_in_loops(images, found.grid))
        for u, patch in enumerate(patches):
            expected = [weighted_hsic(other, patch) for other in patches]
            assert_hsic(found.patches(minibatch)[:, u], expected, patch, max(expected))
        for layer, activations in kept.items():
            prefix = 1 if config is VIT else 0
            maps = activations
            if activations.dim() == 3:
                tokens = activations[:, prefix:]
                maps = torch.stack(
                    [tokens[:, 2 * r : 2 * r + 2].transpose(1, 2) for r in range(2)], dim=2
                )
            tokens = list(cells_in_loops(maps, found.grid))
            for t, token in enumerate(tokens):
                own = weighted_hsic(token, token)
                assert_hsic(found.own_tokens(minibatch)[layer, t], own, token, own)
                expected = [weighted_hsic(token, patch) for patch in patches]
                scale = np.sqrt(own * np.diag(found.patches(minibatch)).max())
                assert_hsic(found.cross(minibatch)[layer, t], expected, token, scale)
            if prefix:
                cls = activations[:, 0]
                own = weighted_hsic(cls, cls)
                assert_hsic(found.own_cls(minibatch)[layer], own, cls, own)
                expected = [weighted_hsic(cls, patch) for patch in patches]
                scale = np.sqrt(own * np.diag(found.patches(minibatch)).max())
                assert_hsic(found.cross_cls(minibatch)[layer], expected, cls, scale)


def test_layers_keep_their_place_among_all_layers(tmp_path, experiment):
    _, path = dump(tmp_path, experiment, RESNET)
    rows = LocalisationDump(path).layers
    assert [row["positions"] for row in rows] == [[8, 8], [4, 4]]
    assert rows[-1]["depth"] == 1 and rows[-1]["index"] == 7 * 2 + 2 * 2 + 1


def test_tokens_that_are_the_patches_have_the_patches_hsic():
    images = random(9, 3, 12, 12)
    patches = centred_pairs(images, (3, 3))
    cross, own = token_patch_hsic(images, (3, 3), patches)
    pairs = 9 * 8 // 2
    assert_rounded(cross, patches @ patches.T, terms=pairs)
    assert_rounded(own, cross.diagonal(), terms=pairs)


def test_hsic_does_not_change_with_a_rotation_and_scales_with_the_features():
    images, tokens = random(13, 3, 8, 8), random(13, 6, 4, 4, seed=2)
    patches = centred_pairs(images, (4, 4))
    cross, own = token_patch_hsic(tokens, (4, 4), patches)
    rotation, _ = torch.linalg.qr(random(6, 6, seed=3))
    turned = 3 * torch.einsum("ncrs,cd->ndrs", tokens, rotation) + 5
    turned_cross, turned_own = token_patch_hsic(turned, (4, 4), patches)
    # The rotation is one sum over 6 channels, the Gram another.
    assert_rounded(turned_cross, 9 * cross, terms=6 * 2, dtype=np.float32)
    assert_rounded(turned_own, 81 * own, terms=6 * 2, dtype=np.float32)


@pytest.mark.parametrize("sides", [(7, 7), (7, 10), (4, 4), (9, 5)])
def test_cells_tile_the_map_so_their_grams_add_up(sides):
    maps = random(9, 5, *sides)
    positions = cell_positions(*sides, (4, 4))
    filler = sides[0] * sides[1]
    assert sorted(p for p in positions.flatten().tolist() if p < filler) == list(range(filler))
    whole = centred_pairs(maps, (1, 1))[0]
    sums = centred_pairs(maps, (4, 4)).sum(0)
    assert_rounded(sums, whole, terms=maps[0].numel(), dtype=np.float32)


def test_cells_are_numbered_row_after_row():
    assert cell_positions(4, 4, (2, 2))[1].tolist() == [2, 3, 6, 7]
    assert cell_positions(3, 3, (2, 2)).tolist()[0] == [0, 9, 9, 9]


def test_chunks_of_one_token_change_nothing(monkeypatch):
    maps, images = random(9, 5, 4, 4), random(9, 3, 8, 8)
    patches = centred_pairs(images, (4, 4))
    whole = token_patch_hsic(maps, (4, 4), patches)
    monkeypatch.setattr(localisation_hsic, "CHUNK_BYTES", 1)
    parts = token_patch_hsic(maps, (4, 4), patches)
    assert_rounded(parts[0], whole[0], terms=5, dtype=np.float32)
    assert_rounded(parts[1], whole[1], terms=5, dtype=np.float32)


@pytest.mark.parametrize("value", [0.0, 1.7, 1e4])
def test_a_token_that_does_not_vary_has_no_hsic(value):
    maps = random(67, 5, 2, 2)
    maps[:, :, 0, 1] = value
    own = token_patch_hsic(maps, (2, 2), centred_pairs(random(67, 3, 2, 2), (2, 2)))[1]
    assert (own == 0).tolist() == [False, True, False, False]


def test_large_means_lose_no_digits():
    maps = random(29, 50, 2, 2)
    patches = centred_pairs(random(29, 3, 4, 4, seed=5), (2, 2))
    exact = token_patch_hsic(maps, (2, 2), patches)
    moved = token_patch_hsic(maps + 100, (2, 2), patches)
    # Without the means removed first, products of 100 · 100 would round in its fourth digit.
    size = 100 * exact[1].max()
    assert_rounded(moved[1], exact[1], terms=50, size=size, dtype=np.float32, c=1)


def test_prefix_tokens_are_no_patches():
    tokens = random(5, 3 + 6, 4)
    maps, cls = localisation.as_maps(tokens, (2, 3), 3)
    assert maps.shape == (5, 4, 2, 3) and torch.equal(maps[:, :, 1, 0], tokens[:, 6])
    assert torch.equal(cls[:, :, 0, 0], tokens[:, 0])
    maps, cls = localisation.as_maps(tokens[:, 3:], (2, 3), 0)
    assert torch.equal(maps[:, :, 0, 0], tokens[:, 3]) and cls is None


def test_two_dumps_are_the_same_bytes_and_of_the_predicted_size(tmp_path, experiment):
    _, path = dump(tmp_path, experiment, VIT)
    first = path.read_bytes()
    dump(tmp_path, experiment, VIT)
    assert path.read_bytes() == first
    meta = files.TensorReader(path).meta
    shapes = localisation.localisation_shapes(meta)
    assert len(first) == files.safetensors_bytes(shapes, meta)


def test_activations_that_overflow_name_their_layer_and_leave_no_file(tmp_path, experiment):
    def overflow(state):
        state["blocks.1.mlp.fc2.weight"] *= 1e30

    with pytest.raises(ResultError, match=r"layer block01\.out of vit/f000/s0 has activ"):
        dump(tmp_path, experiment, VIT, change=overflow)
    assert not (tmp_path / "vit" / "localisation.safetensors").exists()


def test_minibatches_of_three_images_are_refused(tmp_path, experiment):
    make_reference(experiment, tmp_path / "reference.safetensors", [5, 3])
    with pytest.raises(ConfigError, match=r"has 3 images.*reference_batch_size"):
        dump(tmp_path, experiment, VIT)


def test_a_dump_of_another_kind_is_refused(tmp_path):
    meta = {"network": ["a", "b", "c"], "reference_sha256": "r", "batch_sizes": [5]}
    files.write_tensors(tmp_path / "x", {"a": np.zeros(3)}, meta)
    with pytest.raises(ResultError, match="its description lacks 'grid'"):
        LocalisationDump(tmp_path / "x")
