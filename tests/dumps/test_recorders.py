import numpy as np
import pytest
import torch

from sightlines.core import files
from sightlines.core.errors import ResultError
from sightlines.datasets.reading import normalise
from sightlines.dumps import attention, features, gram
from sightlines.dumps.reading import AttentionDump, GramDump
from sightlines.models.attention import capture_attention
from sightlines.models.layers import block_outputs, capture
from tests.dumps.grams import assert_gram
from tests.dumps.making_experiments import (
    RESNET,
    VIT,
    make_dataset,
    make_network,
    make_probes,
    make_reference,
    open_shown,
    record,
)
from tests.reference.attention_loops import head_statistics
from tests.rounding import assert_rounded, rounded

REFERENCE = [13, 13, 5]
DUMPS = {"gram": gram, "attention": attention, "features": features}


@pytest.fixture
def experiment(tmp_path):
    dataset = make_dataset(tmp_path / "data")
    make_reference(dataset, tmp_path / "reference.safetensors", REFERENCE)
    make_probes(dataset, tmp_path / "probes.safetensors", (11, 5, 3))
    return dataset


def chosen(kind, dataset):
    """The file that says which images a dump shows."""
    return dataset.parents[1] / f"{DUMPS[kind].SPLITS}.safetensors"


def dump(kind, tmp_path, experiment, config, change=None):
    folder = tmp_path / config["family"]
    model = make_network(folder, config, experiment, change=change)
    output = folder / f"{kind}.safetensors"
    record(kind, folder, experiment, chosen(kind, experiment), output)
    return model.eval(), output


def layers_of(kind, experiment, path):
    return open_shown(path.parent, experiment, chosen(kind, experiment)).layers


def shown(experiment, part, indices):
    pixels = np.load(experiment.parent / f"{part}_images.npy")[indices].transpose(0, 3, 1, 2)
    return normalise(torch.from_numpy(np.ascontiguousarray(pixels)), [0.5] * 3, [0.25] * 3)


def keep_in(kept):
    def keep(index, activations):
        kept[index] = activations.clone()

    return keep


@pytest.mark.parametrize("config", [VIT, RESNET], ids=["vit", "resnet"])
def test_gram_dump_holds_every_layer_of_every_minibatch(tmp_path, experiment, config):
    model, path = dump("gram", tmp_path, experiment, config)
    found = GramDump(path)
    assert found.batch_sizes == REFERENCE and found.network.slug == "vit/f000/s0"
    splits = files.TensorReader(chosen("gram", experiment))
    assert found.reference_sha256 == splits.meta["reference_sha256"]
    begin = np.cumsum([0, *REFERENCE])
    layers = layers_of("gram", experiment, path)
    for minibatch, n in enumerate(REFERENCE):
        kept = {}
        images = shown(experiment, "test", splits["reference"][begin[minibatch] :][:n])
        with torch.inference_mode(), capture(model, layers, keep_in(kept)):
            model(images)
        packed = found.packed(minibatch)
        for index, layer in enumerate(found.layers):
            assert layer["features"] == kept[index][0].numel()
            assert_gram(packed[index], kept[index], layer["name"])


def test_untrained_branches_that_are_zero_have_a_zero_gram(tmp_path, experiment):
    _, path = dump("gram", tmp_path, experiment, RESNET)
    found = GramDump(path)
    zero = [
        row["name"] for row, g in zip(found.layers, found.packed(0), strict=True) if not g.any()
    ]
    assert zero == ["block00.norm3", "block01.norm3"]


def test_attention_dump_agrees_with_loops(tmp_path, experiment):
    model, path = dump("attention", tmp_path, experiment, VIT)
    found = AttentionDump(path)
    assert (found.blocks, found.heads, found.grid) == (2, 3, (2, 2))
    splits = files.TensorReader(chosen("attention", experiment))
    # A dump's attention is what a query sends to 5 tokens, after two blocks of sums of 48 at most.
    sums = {"terms": 48 * 7 * 2, "dtype": np.float32}
    offsets = np.zeros((2, 3, 3, 3))
    begin = np.cumsum([0, *REFERENCE])
    for minibatch, n in enumerate(REFERENCE):
        kept = {}
        images = shown(experiment, "test", splits["reference"][begin[minibatch] :][:n])
        with (
            torch.inference_mode(),
            capture_attention(model, lambda b, a, _, kept=kept: kept.update({b: a.clone()}), 100),
        ):
            model(images)
        for image in range(n):
            for block in range(2):
                for head in range(3):
                    rows = kept[block][image, head].double().numpy()
                    expected = head_statistics(rows, (2, 2), 4, 1)
                    for name in attention.STATISTICS:
                        value = found.per_image(name, minibatch)[image, block, head]
                        assert value == rounded(expected[name], **sums), name
                    offsets[block, head] += expected["offset_mass"] / sum(REFERENCE)
    assert_rounded(found.offset_mass(), offsets, **sums)


def test_attention_that_saturates_on_the_class_token_is_no_divergence(tmp_path, experiment):
    def saturate(state):
        for block in range(2):
            state[f"blocks.{block}.attn.qkv.weight"][:24] *= 1e4

    _, path = dump("attention", tmp_path, experiment, VIT, change=saturate)
    found = AttentionDump(path)
    share = np.concatenate([found.per_image("renormalised_share", m) for m in (0, 1)])
    assert {0.25, 0.5, 0.75} & set(share.ravel().tolist()) and share.max() == 1
    reach = np.concatenate([found.per_image("distance_renormalised_px", m) for m in (0, 1)])
    assert (reach[share == 0] == 0).all() and reach.max() > 0


def test_attention_of_a_resnet_is_refused(tmp_path, experiment):
    with pytest.raises(ResultError, match="no dump"):
        dump("attention", tmp_path, experiment, RESNET)


@pytest.mark.parametrize("config", [VIT, RESNET], ids=["vit", "resnet"])
def test_features_are_pooled_block_outputs_of_labelled_images(tmp_path, experiment, config):
    model, path = dump("features", tmp_path, experiment, config)
    reader, splits = files.TensorReader(path), files.TensorReader(chosen("features", experiment))
    assert reader["subset"].tolist() == [0] * 11 + [1] * 5 + [2] * 3
    parts = [("train", "probe_train"), ("train", "probe_held_out"), ("test", "probe_test")]
    indices = np.concatenate([splits[name] for _, name in parts])
    assert reader["labels"].tolist() == (indices % 3).tolist()
    images = torch.cat([shown(experiment, part, splits[name]) for part, name in parts])
    kept = {}
    wanted = block_outputs(layers_of("features", experiment, path))
    with torch.inference_mode(), capture(model, wanted, keep_in(kept)):
        model(images)
    # Sums of up to 32 · 9 terms, 7 of them in each of two blocks: minibatches are of other sizes.
    sums = {"terms": 32 * 9 * 7 * 2, "dtype": np.float32}
    for index, layer in enumerate(wanted):
        x = kept[index]
        mean = x[:, 1:].mean(1) if x.dim() == 3 else x.mean((2, 3))
        size = float(x.abs().max())
        assert_rounded(reader[f"mean.{layer.name}"], mean, layer.name, size=size, **sums)
        if x.dim() == 3:
            assert_rounded(reader[f"cls.{layer.name}"], x[:, 0], layer.name, **sums)
        else:
            assert f"cls.{layer.name}" not in reader
    names = [layer.name for layer in wanted]
    assert names == ["block00.out", "block01.out", *(["norm"] if config is VIT else [])]


@pytest.mark.parametrize("kind", DUMPS)
def test_two_dumps_are_the_same_bytes(tmp_path, experiment, kind):
    _, path = dump(kind, tmp_path, experiment, VIT)
    first = path.read_bytes()
    dump(kind, tmp_path, experiment, VIT)
    assert path.read_bytes() == first


def overflow(state, block=1):
    state[f"blocks.{block}.mlp.fc1.weight"] *= 1e20
    state[f"blocks.{block}.mlp.fc2.weight"] *= 1e30


@pytest.mark.parametrize("kind", ["gram", "features"])
def test_activations_that_overflow_name_their_layer_and_leave_no_file(tmp_path, experiment, kind):
    with pytest.raises(
        ResultError, match=r"layer block01\.(mlp_hidden|out) of vit/f000/s0 has activ"
    ):
        dump(kind, tmp_path, experiment, VIT, change=overflow)
    assert sorted(p.name for p in (tmp_path / "vit").iterdir()) == [
        "card.json",
        "weights.safetensors",
    ]


def test_attention_that_is_not_finite_names_its_block(tmp_path, experiment):
    with pytest.raises(ResultError, match="attention of block 1 of vit/f000/s0 is not finite"):
        dump("attention", tmp_path, experiment, VIT, change=lambda state: overflow(state, 0))


def test_the_predicted_size_is_the_size_written(tmp_path, experiment):
    _, path = dump("gram", tmp_path, experiment, VIT)
    meta = files.TensorReader(path).meta
    shapes = gram.gram_shapes(REFERENCE, len(meta["layers"]))
    assert path.stat().st_size == files.safetensors_bytes(shapes, meta)


def test_a_network_for_images_of_another_size_is_refused(tmp_path, experiment):
    folder = tmp_path / "vit"
    make_network(folder, VIT, make_dataset(tmp_path / "other", size_px=16))
    with pytest.raises(ResultError, match=r"images of 16 px, but .* has 8 px"):
        open_shown(folder, experiment, chosen("gram", experiment))


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_truncated_dump_is_refused(tmp_path, experiment, cut):
    _, path = dump("gram", tmp_path, experiment, VIT)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ResultError, match=r"cannot read .*gram\.safetensors"):
        GramDump(path)


def test_a_file_that_is_no_dump_is_refused(tmp_path):
    files.write_tensors(tmp_path / "x", {"a": np.zeros(3)}, {"network": ["a", "b", "c"]})
    with pytest.raises(ResultError, match="its description lacks 'reference_sha256'"):
        GramDump(tmp_path / "x")
