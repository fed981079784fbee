"""Sizes of dumps that a plan tells, against the bytes that each kind writes of each family."""

import pytest

from sightlines.core.files import TensorReader, write_tensor_file
from sightlines.plan import conditions, dump_sizes, registry
from sightlines.plan.architectures import has
from sightlines.plan.config import complete
from tests.dumps import making_experiments as making

SIDE, CLASSES = 16, 10
TOKENS = {"patch_px": 4, "width": 48, "depth": 3}
MODELS = {
    "vit": TOKENS | {"family": "vit", "heads": 3},
    "mean_vit": TOKENS | {"family": "vit", "heads": 3, "pool": "gap"},
    "mixer": TOKENS | {"family": "mixer"},
    "fnet": TOKENS | {"family": "fnet"},
    "post_fnet": TOKENS | {"family": "fnet", "norm": "post", "pool": "cls"},
    "resnet": {"family": "resnet", "units": [2, 2], "channels": [32, 32], "stem": "medium"},
    "large_stem": {"family": "resnet", "units": [1, 1], "channels": [32, 64], "stem": "large"},
}
QUICK = ("vit", "resnet")
"""Those of `make test-fast`; of the others it is a whole test."""
CONFIG = {
    "dataset": {"kind": "shapes", "n_conflict": making.CONFLICTS, "n_silhouette": 0},
    "splits": {
        **{"reference_batches": 3, "reference_batch_size": 8, "validation": 20},
        **{"probe_train": 16, "probe_held_out": 12, "probe_test": 13},
    },
    "probes": {"token_depths": 2, "token_train": 11, "token_held_out": 10, "token_test": 12},
    "receptive_field": {"images": 9, "depths": 2, "channels": 4},
    "attention_maps": {"images": 40, "pictures": 3},
    "conditions": {"perturbation": {"images": 20}},
    "models": {name: {"label": name, **model} for name, model in MODELS.items()},
    "runs": [{"models": ["vit"], "fractions": ["f100"], "seeds": ["s0"]}],
}
COUNTED = [k for k, size in dump_sizes._KINDS.items() if size is not dump_sizes._predictions]
UNTOLD = ("labels", "subset", "largest", "median")
"""Tensors of a few numbers for each image or layer, which are not told."""
NO_MASKS = {"dataset": {"kind": "cifar10"}}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    splits = CONFIG["splits"]
    dataset = making.make_dataset(folder / "data", SIDE, classes=CLASSES)
    sizes = [splits["reference_batch_size"]] * splits["reference_batches"]
    making.make_reference(dataset, folder / "reference.safetensors", sizes)
    probes = [splits[name] for name in ("probe_train", "probe_held_out", "probe_test")]
    making.make_probes(dataset, folder / "probes.safetensors", probes)
    making.make_conflicts(dataset, folder / "conflicts.safetensors")
    making.make_splits(dataset, folder / "splits.safetensors")
    for name, model in complete(CONFIG, "a test").models.items():
        making.make_network(folder / name, model.settings, dataset)
    return folder, dataset


def bytes_written(experiment, kind, model, config):
    folder, dataset = experiment
    network, declared = folder / model, registry.declarations("dumps", kind)
    shown = making.open_shown(network, dataset, folder / f"{declared['SPLITS']}.safetensors")
    uses = {key: config.recorded()[key] for key in declared.get("USES", ())}
    uses |= dict.fromkeys(declared.get("BESIDE", ()))
    if "CONDITIONS" in declared:
        uses["conditions"] = conditions.settings(config, kind, SIDE)
    path = network / "dump.safetensors"
    recorded = registry.load("dumps", kind).record(shown, **uses)
    write_tensor_file(path, making.content_of(shown, recorded))
    dump = TensorReader(path)
    return sum(dump[name].nbytes for name in dump.names() if not name.startswith(UNTOLD))


def config_of(kind):
    return complete(CONFIG | (NO_MASKS if kind == "cls_attention" else {}), "a test")


def cases():
    for kind in COUNTED:
        flag = registry.declarations("dumps", kind).get("FAMILIES", "")
        for name, model in config_of(kind).models.items():
            if not flag or has(flag, model.settings, SIDE):
                marks = () if name in QUICK else pytest.mark.whole
                yield pytest.param(kind, name, id=f"{kind}-{name}", marks=marks)


@pytest.mark.parametrize(("kind", "model"), cases())
@pytest.mark.whole
def test_the_size_that_is_told_is_what_is_written(experiment, kind, model):
    config = config_of(kind)
    settings = config.models[model].settings
    told = dump_sizes.dump_bytes(kind, settings, config, SIDE)
    assert told == bytes_written(experiment, kind, model, config) > 0
