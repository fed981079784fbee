"""Processor time of all kinds of dumps of one network in one pass, against one after the other.

    python benchmarks/one_pass.py [--images 512]

Networks of cifar10_small's size. Weights are opened for each pass, images for each file that says
which are shown; imports count nowhere.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
REPEATS, SIDE, MINIBATCH = 3, 32, 128
SEED = 0
USES = {
    "attention_maps": {"images": 256, "pictures": 4},
    "probes": {"token_depths": 4, "token_train": 128, "token_held_out": 64, "token_test": 128},
    "seed": SEED,
}


def prepare(folder, config, images):
    """A dataset, chosen images and a network."""
    from tests.dumps import making_experiments as making

    dataset = making.make_dataset(folder / "data", size_px=SIDE, train=2 * images, test=2 * images)
    sizes = [MINIBATCH] * (images // MINIBATCH)
    making.make_reference(dataset, folder / "reference.safetensors", sizes)
    making.make_splits(dataset, folder / "splits.safetensors", images // 2)
    making.make_first_probes(dataset, folder, (images, images // 4, images), SEED)
    making.make_network(folder, config, dataset)


def kinds_of(word, model):
    """Kinds that share a pass and take a network of this architecture, on the dataset's images."""
    from sightlines.plan import registry
    from sightlines.plan.architectures import has

    for kind in registry.members("dumps"):
        declared = registry.declarations("dumps", kind)
        flag = declared.get("FAMILIES", "")
        is_own = declared.get("CONDITIONS") != "foreign"
        if declared.get("PASS") == word and is_own and (not flag or has(flag, model, SIDE)):
            yield kind


def watch(folder, kinds):
    """The network, and what each kind keeps of it."""
    from tests.dumps import making_experiments as making

    from sightlines.core.files import TensorReader
    from sightlines.plan import registry

    one = making.open_shown(folder, folder / "data/dataset.json", folder / "reference.safetensors")
    one, watched = replace(one, batch_size=MINIBATCH), {}
    for kind in kinds:
        declared = registry.declarations("dumps", kind)
        splits = TensorReader(folder / f"{declared['SPLITS']}.safetensors")
        uses = making.settings_of(kind, USES)
        uses |= dict.fromkeys(declared.get("BESIDE", ()))  # of objects nothing is known here
        shown = replace(one, splits=splits)
        watched[kind] = registry.load("dumps", kind).record(shown, **uses)
    return one, watched


def dump(folder, kinds):
    """Write the files of some kinds in one pass; the CPU seconds."""
    import measuring

    began = measuring.cpu_s()
    write(folder, *watch(folder, kinds))
    return measuring.cpu_s() - began


def write(folder, one, watched):
    """Write the files of some kinds in one pass."""
    from sightlines.core.files import TensorWriter
    from sightlines.dumps.passes import record_together

    writers = {}
    for kind, own in watched.items():
        path = folder / "dumps" / f"{kind}.safetensors"  # weights lie in `folder`
        writers[kind] = TensorWriter(path, own.shapes, own.meta).__enter__()
    for kind, rows in record_together(one, watched):
        if isinstance(rows, Exception):
            raise rows
        for name, array in rows.items():
            writers[kind].write(name, array)
    for writer in writers.values():
        writer.__exit__(None, None, None)


def main():
    """Measure both ways in turn, the least of some repeats."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=512)
    images = parser.parse_args().images
    import measuring

    for config in (measuring.VIT, measuring.RESNET):
        with tempfile.TemporaryDirectory() as name:
            folder, family = Path(name), config["family"]
            prepare(folder, config, images)
            for word in ("reference", "labelled"):
                kinds = list(kinds_of(word, config))
                apart, together = [], []
                for _ in range(REPEATS):
                    apart.append([dump(folder, [kind]) for kind in kinds])
                    together.append(dump(folder, kinds))
                each = {k: min(own) for k, own in zip(kinds, zip(*apart, strict=True), strict=True)}
                told = ", ".join(f"{kind} {seconds:.2f}" for kind, seconds in each.items())
                print(
                    f"{family}, {word}: {min(together):.2f} s in one pass, "
                    f"{sum(each.values()):.2f} s apart ({told}): "
                    f"ratio {min(together) / sum(each.values()):.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
