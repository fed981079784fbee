"""Every kind of dump takes every architecture that the planner gives it, and says what it saw."""

import numpy as np
import pytest
import torch

from sightlines.core import files
from sightlines.dumps import gram
from sightlines.dumps.reading import GramDump
from sightlines.models import building
from sightlines.models.layers import block_outputs, capture
from sightlines.plan import architectures, registry
from tests.dumps import making_experiments as making
from tests.dumps.grams import assert_gram
from tests.dumps.test_recorders import shown
from tests.rounding import assert_rounded

REFERENCE = [13, 9]
GAP = making.VIT | {"pool": "gap"}
MIXER = {"family": "mixer", "patch_px": 4, "width": 12, "depth": 2, "token_ratio": 0.5}
MIXER |= {"mlp_ratio": 2, "drop_path": 0.1}
BARE = {which: making.VIT | {"skipless_block": 1, "skipless": which} for which in ("both", "mlp")}
NETS = {"vit": making.VIT, "gap": GAP, "resnet": making.RESNET, "mixer": MIXER}
FNET = {"family": "fnet", "patch_px": 4, "width": 12, "depth": 2, "heads": 3, "mlp_ratio": 2}
FNET |= {"mixing": "fourier", "axes": "raster", "norm": "pre", "pool": "gap"}
FNET |= {"attention_blocks": [], "drop_path": 0.1, "position_init": "random", "position_scale": 1}
NETS |= {"fnet": FNET, "fnet_post": FNET | {"norm": "post", "pool": "cls"}}
NETS |= {"hybrid": FNET | {"attention_blocks": [1], "axes": "grid", "mixing": "random"}}
NETS |= {f"bare_{which}": net for which, net in BARE.items()}
SECTIONS = {
    "receptive_field": {"images": 3, "channels": 2, "depths": 2},
    "probes": {"token_depths": 2, "token_train": 9, "token_held_out": 4, "token_test": 3},
    "attention_maps": {"images": 40, "pictures": 2},
    "seed": 7,
}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """The dataset, and by name every network of it; no test changes them."""
    folder = tmp_path_factory.mktemp("experiment")
    dataset = making.make_dataset(folder / "data")
    making.make_reference(dataset, folder / "reference.safetensors", REFERENCE)
    making.make_probes(dataset, folder / "probes.safetensors", (11, 5, 3))
    making.make_splits(dataset, folder / "splits.safetensors")
    making.make_conflicts(dataset, folder / "conflicts.safetensors")
    nets = {n: making.make_network(folder / n, net, dataset).eval() for n, net in NETS.items()}
    return dataset, nets


def dump(kind, name, folder, experiment):
    """Make one dump of one network; returns the network and the file."""
    dataset, nets = experiment
    here, path = dataset.parents[1], folder / name / f"{kind}.safetensors"
    splits = here / f"{registry.declarations('dumps', kind)['SPLITS']}.safetensors"
    uses = making.settings_of(kind, SECTIONS)
    making.record(kind, here / name, dataset, splits, path, **uses)
    return nets[name], path


def taken():
    """(kind of dump, network): those that `Experiment.dumped` would choose."""
    for kind in registry.members("dumps"):
        declared = registry.declarations("dumps", kind)
        for name, net in NETS.items():
            flag = declared.get("FAMILIES")
            if flag and not architectures.has(flag, net, 8):
                continue
            if name.startswith("bare") and declared["NETWORKS"] != "all":
                continue
            yield kind, name


QUICK = ("resnet", "mixer", "fnet")
"""Each kind's units; that of a ViT is in tests/run/test_dump.py, variants of them are whole."""
TAKEN = [pytest.param(*own, marks=() if own[1] in QUICK else pytest.mark.whole) for own in taken()]


@pytest.mark.parametrize(("kind", "name"), TAKEN)
def test_every_kind_of_dump_takes_every_architecture(tmp_path, experiment, kind, name):
    _, path = dump(kind, name, tmp_path, experiment)
    reader = files.TensorReader(path)
    assert reader.meta["network"] == ["vit", "f000", "s0"] and reader.names()
    for tensor in reader.names():
        values = np.asarray(reader[tensor])
        assert values.size and np.isfinite(values).all(), tensor


def seen_by_hooks(model, layers, images):
    kept = {}
    with torch.inference_mode(), capture(model, layers, lambda i, x: kept.update({i: x.clone()})):
        model(images)
    return [kept[index] for index in range(len(layers))]


@pytest.mark.parametrize(
    "name", ["mixer", "gap", "bare_both", "bare_mlp", "fnet", "fnet_post", "hybrid"]
)
def test_grams_are_those_of_the_layers(tmp_path, experiment, name):
    model, path = dump("gram", name, tmp_path, experiment)
    found, layers = GramDump(path), building.layers_of(NETS[name]["family"], model)
    assert [row["name"] for row in found.layers] == [layer.name for layer in layers]
    assert [row["kind"] for row in found.layers] == [layer.kind for layer in layers]
    dataset = experiment[0]
    reference = files.TensorReader(dataset.parents[1] / "reference.safetensors")["reference"]
    images = shown(dataset, "test", np.asarray(reference)[: REFERENCE[0]])
    packed = found.packed(0)
    for index, value in enumerate(seen_by_hooks(model, layers, images)):
        assert found.layers[index]["features"] == value[0].numel()
        assert_gram(packed[index], value, found.layers[index]["name"])


@pytest.mark.parametrize("name", ["mixer", "gap"])
def test_features_of_networks_without_class_token(tmp_path, experiment, name):
    model, path = dump("features", name, tmp_path, experiment)
    reader = files.TensorReader(path)
    layers = block_outputs(building.layers_of(NETS[name]["family"], model))
    names = ["block00.out", "block01.out", "norm"]
    assert [layer.name for layer in layers] == names == reader.meta["layers"]
    tensors = {f"{pool}.{layer}" for pool in ("mean", "first") for layer in names}
    assert set(reader.names()) == tensors | {"labels", "subset"}
    dataset = experiment[0]
    splits = files.TensorReader(dataset.parents[1] / "probes.safetensors")
    images = shown(dataset, "test", np.asarray(splits["probe_test"]))
    # Sums of up to 48 terms, 7 of them in each of two blocks: minibatches are of other sizes.
    sums = {"terms": 48 * 7 * 2, "dtype": np.float32}
    for layer, value in zip(names, seen_by_hooks(model, layers, images), strict=True):
        assert value.shape == (3, 4, 12)
        size = float(value.abs().max())
        assert_rounded(reader[f"mean.{layer}"][16:], value.mean(1), layer, size=size, **sums)
        assert_rounded(reader[f"first.{layer}"][16:], value[:, 0], layer, **sums)


def test_grams_of_an_intact_and_a_skipless_vit_differ_from_that_block_on(tmp_path, experiment):
    """Same weights: what comes before the block is the same to the bit."""
    whole, cut = (
        GramDump(dump("gram", name, tmp_path, experiment)[1]) for name in ("vit", "bare_both")
    )
    assert whole.layers == cut.layers
    same = [np.array_equal(a, b) for a, b in zip(whole.packed(0), cut.packed(0), strict=True)]
    names = [row["name"] for row in whole.layers]
    first = names.index("block01.norm2")
    assert all(same[:first]) and not any(same[first:])


def test_dumps_of_a_mixer_are_the_same_bytes_twice(tmp_path, experiment):
    for kind in ("gram", "features"):
        first = dump(kind, "mixer", tmp_path, experiment)[1].read_bytes()
        assert dump(kind, "mixer", tmp_path, experiment)[1].read_bytes() == first


def test_the_predicted_size_of_a_mixers_dump_is_the_size_written(tmp_path, experiment):
    _, path = dump("gram", "mixer", tmp_path, experiment)
    meta = files.TensorReader(path).meta
    shapes = gram.gram_shapes(REFERENCE, len(meta["layers"]))
    assert path.stat().st_size == files.safetensors_bytes(shapes, meta)
