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
REPEATS = 3
USES = {
    "probes": {"token_depths": 4, "token_train": 128, "token_held_out": 64, "token_test": 128},
    "seed": 0,
}


def prepare(folder, config, images):
    """A dataset, chosen images and a network."""
    from tests.dumps import making_experiments as making

    dataset = making.make_dataset(folder / "data", size_px=32, train=2 * images, test=2 * images)
    sizes = [128] * (images // 128)
    making.make_reference(dataset, folder / "reference.safetensors", sizes)
    making.make_splits(dataset, folder / "splits.safetensors", images // 2)
    making.make_first_probes(dataset, folder, (images, images // 4, images), USES["seed"])
    making.make_network(folder, config, dataset)


def kinds_of(word, family):
    """Kinds that share a pass and take a network of this family."""
    from sightlines.plan import registry

    for kind in registry.members("dumps"):
        declared = registry.declarations("dumps", kind)
        if declared.get("PASS") == word:
            if declared.get("FAMILIES") != "ATTENTION" or family == "vit":
                yield kind


def dump(folder, kinds):
    """Write the files of some kinds in one pass; the CPU seconds."""
    import measuring
    from tests.dumps import making_experiments as making

    from sightlines.core.files import TensorReader, TensorWriter
    from sightlines.dumps.passes import record_together
    from sightlines.plan import registry

    began = measuring.cpu_s()
    one = making.open_shown(folder, folder / "data/dataset.json", folder / "reference.safetensors")
    one = replace(one, batch_size=128)
    watched, writers = {}, {}
    for kind in kinds:
        declared = registry.declarations("dumps", kind)
        splits = TensorReader(folder / f"{declared['SPLITS']}.safetensors")
        uses = {key: USES[key] for key in declared.get("USES", ())}
        shown = replace(one, splits=splits)
        watched[kind] = registry.load("dumps", kind).record(shown, **uses)
        path = folder / f"{kind}.safetensors"
        writers[kind] = TensorWriter(path, watched[kind].shapes, watched[kind].meta).__enter__()
    for kind, rows in record_together(one, watched):
        if isinstance(rows, Exception):
            raise rows
        for name, array in rows.items():
            writers[kind].write(name, array)
    for writer in writers.values():
        writer.__exit__(None, None, None)
    return measuring.cpu_s() - began


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
                kinds = list(kinds_of(word, family))
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
