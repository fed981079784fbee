"""The whole chain for one member of each of timm's 98 files, each in a process of its own.

    python -m pytest -m families -n 2 tests/models/test_families.py

takes 20 minutes on 2 cores and 14 GiB. `families.csv`: the member, the smallest images that it
takes here, and timm's own size.
"""

import csv
import inspect
import json
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from sightlines.jobs import memory

HERE = Path(__file__).parent
MEMBERS = [*csv.DictReader((HERE / "families.csv").read_text().splitlines())]
SECONDS, LARGE = 60, 180
LARGEST = ("deepseek_vit_412m", "mobilenetv5_300m", "qwen3_vit_306m")
"""What they may take of a processor of today, in s; after twice that the kernel ends a process."""
BYTES = 8 * 2**30
IMAGES = [16, 16]
RECTIFIED = ("legacy_xception", "nasnetalarge", "pnasnet5large")
"""Of these timm's intermediates are what the next block's rectifier makes of a block's output."""
INSIDE = {"hrnet_w18_small": 1, "mobilenetv3_small_050": 1, "resnet10t": 1, "xception41p": 4}
"""How many of timm's first points end no block: a stem after its activation, or inside a block."""
CUT_OFF = (
    *("dla60x_c", "ese_vovnet19b_slim_dw", "hardcorenas_b", "hrnet_w18_small", "mobileone_s1"),
    *("pnasnet5large", "resnest26d", "tresnet_m"),
)
"""Of these a ReLU has cut off the channel that is looked at, so that it has no gradient."""
SECTIONS = {"receptive_field": {"images": 2, "channels": 2, "depths": 2}}


def settings(name):
    keys = {"arguments": {}, "layers": [], "acts_as": "auto", "revision": "main"}
    return {"family": "timm", "name": name, "weights": "random", **keys}


def walk(name, size_px, folder):
    """Plan, Grams, CKA, probes, fields, attention where there is any: what was found."""
    import torch

    from sightlines.dumps.attention_sites_reading import AttentionSitesDump
    from sightlines.dumps.features_reading import LabelledDump
    from sightlines.dumps.reading import AttentionDump, GramDump
    from sightlines.measures import attention_distance, attention_sites, cka
    from sightlines.models import timm, timm_facts
    from tests.dumps import making_experiments as making
    from tests.models.public import answers_of_this_process

    torch.set_num_threads(1)
    timm_facts._ask = answers_of_this_process
    dataset = making.make_dataset(folder / "data", size_px=size_px, train=48, test=sum(IMAGES))
    making.make_reference(dataset, folder / "reference.safetensors", IMAGES)
    making.make_probes(dataset, folder / "probes.safetensors", (16, 8, 8))
    known = timm.described(settings(name), size_px)
    check_captured(name, size_px)
    making.make_network(folder, settings(name), dataset)

    def recorded(kind, **uses):
        splits = folder / ("probes.safetensors" if kind == "features" else "reference.safetensors")
        path = folder / f"{kind}.safetensors"
        making.record(kind, folder, dataset, splits, path, **uses)
        return path

    gram = GramDump(recorded("gram"))
    whole = next(iter(cka.measure([gram], 1)["cka.parquet"]))
    assert len(whole) == len(gram.layers) ** 2
    probes = LabelledDump(recorded("features"))
    recorded("receptive_field", **SECTIONS)
    found = {"layers": [row["name"] for row in gram.layers], "attention": 0, "far": 0.0}
    found["probed"] = len(probes.meta["layers"])
    if known["attention"]:
        table = attention_distance.head_table(AttentionDump(recorded("attention")))
        found |= {"attention": table["block"].nunique(), "far": float(table["relative"].max())}
    elif known.get("attention_sites"):
        table = attention_sites.site_table(AttentionSitesDump(recorded("attention_sites")))
        found |= {"attention": table["site"].nunique(), "far": float(table["relative"].max())}
    return found


def check_captured(name, size_px):
    """Layers fire once and in order, as the modules gave them; blocks are timm's intermediates."""
    import torch

    from sightlines.models import timm_building
    from tests.models.public import as_map, captured, images_of, randomised

    torch.manual_seed(1)
    model = randomised(timm_building.build({"name": name, "arguments": {}}, size_px, 7))
    layers, images = timm_building.layers_of(model), images_of(size_px)
    with torch.no_grad():
        alone = model(images)
    values, output = captured(model, layers, images)
    assert torch.equal(alone, output)
    assert [*values] == [layer.name for layer in layers]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    if hasattr(model, "forward_intermediates"):
        taken = inspect.signature(model.forward_intermediates).parameters
        unnormed = {"norm": False} if "norm" in taken else {}
        with torch.no_grad():
            found = model.forward_intermediates(images, intermediates_only=True, **unnormed)
        seen = timm_building.found_of(model)
        prefix = seen.prefix if seen else getattr(model, "num_prefix_tokens", 0)
        flat = [part for each in found for part in (each if type(each) is tuple else (each,))]
        for like in flat[INSIDE.get(name, 0) :]:
            own = [as_map(value, like, prefix) for value in values.values()]
            own += [torch.relu(value) for value in own if name in RECTIFIED]
            assert any(v.shape == like.shape and torch.equal(v, like) for v in own), like.shape
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    unchanged, _ = captured(model, layers, images)
    assert all(torch.equal(values[layer], unchanged[layer]) for layer in values)


def at_native_size(name, native_px):
    """Plan, one forward pass and the fields of one layer at timm's own size."""
    import numpy as np
    import torch

    import sightlines as sl
    from sightlines.dumps import receptive_field
    from sightlines.library import recording
    from sightlines.models import timm, timm_facts
    from tests.models.public import answers_of_this_process

    torch.set_num_threads(1)
    timm_facts._ask = answers_of_this_process
    known = timm.facts(settings(name) | {"size_px": native_px})
    network = sl.load(name, weights="random", size_px=native_px)
    drawn = np.random.default_rng(0).integers(0, 256, (4, native_px, native_px, 3), dtype=np.uint8)
    images = sl.images(drawn)  # whose files go with it
    shown = recording.shown(network, images)
    *_, last = receptive_field.find_targets(shown, {"channels": 1, "depths": 1})
    shapes = []
    network.module.register_forward_hook(lambda *passed: shapes.append(passed[-1].shape))
    (fields,) = receptive_field.mean_gradients(shown, [last], np.arange(1), [1])
    assert network.card["grid"] == known["grid"]
    if known["outputs"]:  # some encoders come without a last layer
        assert {*shapes} == {(1, known["outputs"])}
    names = [layer.name for layer in network.layers]
    return {"sensitivity": float(fields.max()), "layers": names}


pytestmark = [pytest.mark.families, pytest.mark.slow]


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member["name"])
def test_the_whole_chain(member, tmp_path):
    name = member["name"]
    found = in_own_process(name, member["size_px"], tmp_path)
    assert len({*found["layers"]}) == len(found["layers"]) > 1
    assert found["probed"] >= 1 and found["far"] < 2
    assert found["bytes"] <= BYTES


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member["name"])
def test_the_native_size(member):
    found = in_own_process(member["name"], member["native_px"])
    assert (found["sensitivity"] > 0) != (member["name"] in CUT_OFF)
    assert len(found["layers"]) > 1
    assert found["bytes"] <= BYTES


def in_own_process(name, *arguments):
    """What a process of its own finds in one member."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.test_families", name, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=HERE.parents[1],
        env=os.environ | {memory.VARIABLE: memory.KEPT},  # as jobs are started
        check=False,
        preexec_fn=partial(_limit, LARGE if name in LARGEST else SECONDS),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {found['seconds']:.0f} s, {found['bytes'] / 2**30:.2f} GiB")  # shown by -rP
    return found


def _limit(seconds):
    resource.setrlimit(resource.RLIMIT_CPU, (2 * seconds, 2 * seconds + 5))


if __name__ == "__main__":
    name, size_px, *folders = sys.argv[1:]
    if folders:
        result = walk(name, int(size_px), Path(folders[0]))
    else:
        result = at_native_size(name, int(size_px))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result |= {"bytes": usage.ru_maxrss * 1024, "seconds": usage.ru_utime + usage.ru_stime}
    print(json.dumps(result))
