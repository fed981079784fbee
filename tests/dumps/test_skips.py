import numpy as np
import pytest
import torch

from sightlines.core import files
from sightlines.core.errors import ResultError
from sightlines.datasets.reading import normalise
from sightlines.dumps.skips import median_of_defined
from sightlines.dumps.skips_reading import STATISTICS, SkipsDump
from sightlines.models import branches as skips_branches
from sightlines.models import building
from sightlines.models.branches import capture_branches, find_branches, ratios_and_cosines
from sightlines.models.lean import timm_module
from tests.dumps.making_experiments import (
    RESNET,
    VIT,
    make_dataset,
    make_network,
    make_reference,
    record,
)
from tests.rounding import assert_rounded, rounded

REFERENCE = [7, 5, 4]
ONE_SUM = {"terms": 2, "dtype": np.float32}


@pytest.fixture
def dataset(tmp_path):
    made = make_dataset(tmp_path / "data")
    make_reference(made, tmp_path / "reference.safetensors", REFERENCE)
    return made


def dump(tmp_path, dataset, config, change=None, name="skips"):
    folder = tmp_path / name
    model = make_network(folder, config, dataset, change=change)
    path = folder / "skips.safetensors"
    record("skips", folder, dataset, tmp_path / "reference.safetensors", path)
    if change is not None:
        state = files.TensorReader(folder / "weights.safetensors")
        model.load_state_dict({n: torch.from_numpy(np.array(state[n])) for n in state.names()})
    return model.eval(), SkipsDump(path)


def minibatches(tmp_path, dataset):
    order = np.asarray(files.TensorReader(tmp_path / "reference.safetensors")["reference"])
    images = np.load(dataset.parent / "test_images.npy").transpose(0, 3, 1, 2)
    for chosen in np.split(order, np.cumsum(REFERENCE)[:-1]):
        pixels = torch.from_numpy(np.ascontiguousarray(images[chosen]))
        yield normalise(pixels, [0.5] * 3, [0.25] * 3)


def every_norm_scaled(state):
    """Make a fresh ResNet's branches differ from 0."""
    for name in state:
        if name.endswith("norm3.weight"):
            state[name][:] = 0.3


def vit_by_hand(model, images):
    """(z, f(z)) of every branch, block after block, float64 [n, tokens, width]."""
    model = model.double()
    x = model.norm_pre(model._pos_embed(model.patch_embed(images.double())))
    for block in model.blocks:
        for norm, branch in ((block.norm1, block.attn), (block.norm2, block.mlp)):
            long = branch(norm(x))
            yield x, long
            x = x + long


def resnet_by_hand(model, images):
    """(shortcut, last norm) of every unit, float64 [n, locations, channels]."""
    model = model.double()
    x = model.stem(images.double())
    for unit in [unit for stage in model.stages for unit in stage.blocks]:
        skip = x if unit.downsample is None else unit.downsample.norm(unit.downsample.conv(x))
        long = x
        for conv, norm in ((unit.conv1, unit.norm1), (unit.conv2, unit.norm2)):
            long = norm(conv(long))
        long = unit.norm3(unit.conv3(long))
        yield skip.flatten(2).transpose(1, 2), long.flatten(2).transpose(1, 2)
        x = (skip + long).relu()


def by_loops(skip, long):
    """Ratio and cosine of each image and token, from their definitions."""
    images, tokens, _ = skip.shape
    ratio, cosine = np.zeros((images, tokens)), np.zeros((images, tokens))
    for i in range(images):
        for t in range(tokens):
            z, f = skip[i, t].tolist(), long[i, t].tolist()
            zz = sum(v * v for v in z) ** 0.5
            ff = sum(v * v for v in f) ** 0.5
            out = [a + b for a, b in zip(z, f, strict=True)]
            oo = sum(v * v for v in out) ** 0.5
            ratio[i, t] = zz / ff
            cosine[i, t] = sum(a * b for a, b in zip(z, out, strict=True)) / (zz * oo)
    return ratio, cosine


@pytest.mark.parametrize("family", ["vit", "vit_gap", "resnet"])
def test_agrees_with_a_forward_pass_by_hand_and_loops(tmp_path, dataset, family):
    config = {"vit": VIT, "vit_gap": VIT | {"pool": "gap"}, "resnet": RESNET}[family]
    is_vit = family != "resnet"
    model, found = dump(tmp_path, dataset, config, None if is_vit else every_norm_scaled)
    by_hand = vit_by_hand if is_vit else resnet_by_hand
    for index, images in enumerate(minibatches(tmp_path, dataset)):
        own = dict(zip(STATISTICS, found.minibatch(index), strict=True))
        with torch.inference_mode():
            pairs = list(by_hand(model, images))
        assert len(pairs) == len(found.branches)
        for branch, (skip, long) in enumerate(pairs):
            ratio, cosine = by_loops(skip, long)
            place = found.places(branch)
            assert found.branches[branch]["tokens"] == ratio.shape[1]
            # Sums of up to 8 · 9 terms, 7 of them in each of two blocks.
            sums = {"terms": 72 * 7 * 2, "dtype": np.float32}
            assert_rounded(own["ratio_sum"][place], ratio.sum(0), **sums)
            assert_rounded(own["ratio_median"][place], np.median(ratio, 0), **sums)
            assert_rounded(own["cosine_sum"][place], cosine.sum(0), **sums)
            assert set(own["ratio_images"]) == set(own["cosine_images"]) == {len(images)}


def test_describes_blocks_branches_and_prefix_tokens(tmp_path, dataset):
    _, vit = dump(tmp_path, dataset, VIT)
    assert [(r["block"], r["branch"], r["tokens"]) for r in vit.branches] == [
        (0, "attn", 5),
        (0, "mlp", 5),
        (1, "attn", 5),
        (1, "mlp", 5),
    ]
    assert (vit.blocks, vit.prefix_tokens, vit.batch_sizes) == (2, 1, REFERENCE)
    _, resnet = dump(tmp_path, dataset, RESNET | {"units": [2, 1]}, name="resnet")
    assert [(r["block"], r["branch"], r["tokens"]) for r in resnet.branches] == [
        (0, "unit", 64),
        (1, "unit", 64),
        (2, "unit", 16),
    ]
    assert (resnet.blocks, resnet.prefix_tokens) == (3, 0)


def test_branches_that_are_0_have_no_ratio_and_do_not_turn(tmp_path, dataset, recwarn):
    _, found = dump(tmp_path, dataset, RESNET)
    own = dict(zip(STATISTICS, found.minibatch(0), strict=True))
    for name in ("ratio_sum", "ratio_images", "ratio_median"):
        assert not own[name].any()
    assert_rounded(own["cosine_sum"], own["cosine_images"], terms=32, dtype=np.float32)
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_two_runs_are_equal_byte_for_byte(tmp_path, dataset):
    paths = [dump(tmp_path, dataset, VIT, name=name)[1].path for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_diverged_training_is_named(tmp_path, dataset):
    def diverge(state):
        state["blocks.1.mlp.fc2.bias"][:] = 3e38
        state["blocks.1.mlp.fc2.weight"][:] = 3e38

    with pytest.raises(ResultError, match=r"mlp branch of block 1 of vit/f000/s0.*diverged"):
        dump(tmp_path, dataset, VIT, diverge)


def branch_tensors(model, images):
    kept = {}
    branches, _ = find_branches(model)

    def keep(index, skip, long):
        kept[branches[index].block, branches[index].name] = (skip.clone(), long.clone())

    with torch.inference_mode(), capture_branches(model, branches, keep):
        model(images)
    return kept


def block_outputs(model, blocks, images):
    kept = []
    handles = [b.register_forward_hook(lambda m, a, out: kept.append(out.clone())) for b in blocks]
    with torch.inference_mode():
        model(images)
    for handle in handles:
        handle.remove()
    return kept


def images_of(size=8, count=3):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def small_vit(**changes):
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "depth": 3, "num_heads": 2}
    torch.manual_seed(3)
    timm = timm_module("models.vision_transformer")
    return timm.VisionTransformer(**sizes, num_classes=3, **changes).eval()


def small_mixer(drop_path):
    ratios = {"token_ratio": 0.5, "mlp_ratio": 2}
    config = {"family": "mixer", "patch_px": 4, "width": 12, "depth": 3, "drop_path": drop_path}
    return building.build(config | ratios, 8, 3, seed=3).eval()


@pytest.mark.parametrize("drop_path", [0.0, 0.3])
@pytest.mark.parametrize("init_values", [None, 0.2])
def test_skip_and_branch_add_up_to_the_output_of_a_vit_block(drop_path, init_values):
    model = small_vit(drop_path_rate=drop_path, init_values=init_values)
    images = images_of()
    found, outputs = branch_tensors(model, images), block_outputs(model, model.blocks, images)
    for block, output in enumerate(outputs):
        middle, long = found[block, "mlp"]
        assert_rounded(middle + long, output, **ONE_SUM)
        assert_rounded(sum(found[block, "attn"]), middle, **ONE_SUM)


@pytest.mark.parametrize("drop_path", [0.0, 0.3])
def test_skip_and_branch_add_up_to_the_output_of_a_mixer_block(drop_path):
    model, images = small_mixer(drop_path), images_of()
    found, outputs = branch_tensors(model, images), block_outputs(model, model.blocks, images)
    assert list(found) == [(b, n) for b in range(3) for n in ("mixing", "mlp")]
    for block, output in enumerate(outputs):
        middle, long = found[block, "mlp"]
        assert_rounded(middle + long, output, **ONE_SUM)
        assert_rounded(sum(found[block, "mixing"]), middle, **ONE_SUM)


def test_skip_and_branch_of_a_unit_add_up_with_the_projected_shortcut():
    model = building.build(RESNET | {"units": [2, 2], "channels": [32, 64]}, 8, 3, seed=3).eval()
    for module in model.modules():
        if hasattr(module, "norm3"):
            torch.nn.init.constant_(module.norm3.weight, 0.4)
    units = [unit for stage in model.stages for unit in stage.blocks]
    assert sum(unit.downsample is not None for unit in units) == 2
    images = images_of()
    found, outputs = branch_tensors(model, images), block_outputs(model, units, images)
    for block, output in enumerate(outputs):
        assert_rounded(sum(found[block, "unit"]).relu(), output, **ONE_SUM)


@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_a_branch_scaled_by_c_has_a_ratio_divided_by_c(scale):
    """Layer scale is part of the branch."""
    model, images = small_vit(init_values=0.5), images_of()
    before, _ = ratios_and_cosines(*branch_tensors(model, images)[2, "mlp"])
    model.blocks[2].ls2.gamma.data *= scale
    after, _ = ratios_and_cosines(*branch_tensors(model, images)[2, "mlp"])
    assert_rounded(after, before / scale, terms=12, dtype=np.float32)


@pytest.mark.parametrize(("gone", "left"), [("both", []), ("attn", ["mlp"]), ("mlp", ["attn"])])
def test_a_block_without_skips_leaves_their_branches_out(gone, left):
    changes = {"depth": 3, "skipless_block": 1, "skipless": gone}
    model, images = building.build(VIT | changes, 8, 3, seed=3).eval(), images_of()
    branches, blocks = find_branches(model)
    assert blocks == 3
    assert [b.name for b in branches if b.block == 1] == left
    assert [b.name for b in branches if b.block != 1] == ["attn", "mlp"] * 2
    found, outputs = branch_tensors(model, images), block_outputs(model, model.blocks, images)
    for block in (0, 1, 2):
        if (block, "mlp") in found:
            assert_rounded(sum(found[block, "mlp"]), outputs[block], **ONE_SUM)


def test_hooks_are_gone_afterwards_and_an_unreached_branch_is_named():
    model = small_vit()
    branches, _ = find_branches(model)
    with (
        pytest.raises(LookupError, match="'attn of block 0', 'mlp of block 0'"),
        capture_branches(model, branches, lambda *_: None),
    ):
        pass
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def random_pair(shape=(4, 6, 24), seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def test_invariant_to_an_orthogonal_map_and_to_scale_but_not_to_a_stretch():
    skip, long = random_pair()
    turn, _ = torch.linalg.qr(random_pair((24, 24))[0])
    expected = ratios_and_cosines(skip, long)
    for moved in ((skip @ turn, long @ turn), (7 * skip, 7 * long)):
        # The map is one sum over 24 features, the norm another.
        for found, own in zip(ratios_and_cosines(*moved), expected, strict=True):
            assert_rounded(found, own, terms=24 * 2, dtype=np.float32)
    stretch = torch.linspace(0.1, 3, 24)
    stretched = ratios_and_cosines(skip * stretch, long * stretch)
    assert not np.allclose(stretched, expected, rtol=1e-2)


@pytest.mark.parametrize(("factor", "cosine"), [(1.0, 1.0), (0.5, 1.0), (-0.5, 1.0), (-2.0, -1.0)])
def test_a_branch_along_the_skip(factor, cosine):
    skip, _ = random_pair()
    ratios, cosines = ratios_and_cosines(skip, factor * skip)
    assert_rounded(ratios, 1 / abs(factor), terms=24, dtype=np.float32)
    assert_rounded(cosines, cosine, terms=24, dtype=np.float32)


def test_a_branch_at_right_angles():
    skip, long = torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)
    skip[..., 0], long[..., 2] = 3.0, 4.0
    ratios, cosines = ratios_and_cosines(skip, long)
    assert ratios.item() == 0.75 and cosines.item() == 0.6


def test_what_is_undefined_is_nan():
    skip, long = random_pair((3, 1, 4))
    long[0] = 0
    long[1] = -skip[1]
    skip[2] = 0
    ratios, cosines = ratios_and_cosines(skip, long)
    assert np.isnan(ratios[:, 0]).tolist() == [True, False, False]
    assert np.isnan(cosines[:, 0]).tolist() == [False, True, True]
    assert cosines[0, 0] == rounded(1, terms=4, dtype=np.float32) and ratios[2, 0] == 0


def test_maps_are_read_channel_by_channel_at_every_location(monkeypatch):
    skip, long = random_pair((5, 7, 2, 3))
    as_tokens = [x.flatten(2).transpose(1, 2) for x in (skip, long)]
    whole = ratios_and_cosines(skip, long)
    for found, own in zip(whole, ratios_and_cosines(*as_tokens), strict=True):
        assert_rounded(found, own, terms=7, dtype=np.float32)
    monkeypatch.setattr(skips_branches, "BUDGET", 2 * skip[0].numel())
    np.testing.assert_array_equal(ratios_and_cosines(skip, long), whole)


def test_median_leaves_out_what_is_not_defined():
    values = np.array(
        [[1.0, np.nan, 5.0, np.nan], [4.0, 2.0, 1.0, np.nan], [9.0, 3.0, 2.0, np.nan]]
    )
    assert median_of_defined(values).tolist() == [4.0, 2.5, 2.0, 0.0]
    assert median_of_defined(values[:2]).tolist() == [2.5, 2.0, 3.0, 0.0]
