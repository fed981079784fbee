"""Peak memory of the Gram dump, the attention dump and the CKA measure at 1 × and 8 × the images.

    python benchmarks/memory.py

Each runs in a process of its own; prints the ratio of the peaks. Goal: at most 1.1. Then the kinds
of dumps that share a pass, alone and in one pass: beside the largest alone, the pass may hold what
the others keep of a minibatch.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
IMAGES, MINIBATCH = 256, 64


def prepare(folder, config):
    """One dataset, and 1 × and 8 × the reference images."""
    from tests.dumps.making_experiments import make_dataset, make_network, make_reference

    dataset = make_dataset(folder / "data", size_px=32, train=10, test=8 * IMAGES)
    for times in (1, 8):
        sizes = [MINIBATCH] * (times * IMAGES // MINIBATCH)
        make_reference(dataset, folder / str(times) / "reference.safetensors", sizes)
    make_network(folder, config, dataset)


def work(kind, folder, times):
    """Run one command in this process and print its peak memory in bytes."""
    import logging

    from sightlines.jobs.command import Job

    output = folder / f"{kind}{times}.safetensors"
    if kind == "cka":
        from sightlines.measures import cka
        from sightlines.run.measure import main

        grams = folder / f"gram{times}.safetensors"
        outputs = {w.split(".")[0]: [folder / w] for w in (*cka.TABLES, *cka.FILES)}
        config = {"networks": ["vit/f000/s0"], "dumped": {"gram": ["vit/f000/s0"]}, "seed": 0}
        log = logging.getLogger("benchmark")
        main(Job("cka", config, {"gram": [grams]}, outputs, folder, log, member="cka"))
    elif "+" in kind:
        import one_pass

        one_pass.dump(folder / "shared", kind.strip("+").split("+"))
    else:
        from tests.dumps.making_experiments import record

        reference = folder / str(times) / "reference.safetensors"
        record(kind, folder, folder / "data" / "dataset.json", reference, output)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def peak(kind, folder, times=1):
    """Peak memory in bytes of one command in a process of its own."""
    command = [sys.executable, __file__, kind, str(folder), str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def shared(folder, config):
    """Peaks of kinds alone and in one pass."""
    import one_pass

    one_pass.prepare(folder / "shared", config, 512)
    for word in ("reference", "labelled"):
        kinds = list(one_pass.kinds_of(word, config["family"]))
        alone = {kind: peak(f"{kind}+", folder) for kind in kinds}
        largest = max(alone, key=alone.__getitem__)
        together = peak("+".join(kinds), folder)
        print(
            f"{config['family']}, {word}: {together / 1e6:.0f} MB in one pass of {len(kinds)} "
            f"kinds, {alone[largest] / 1e6:.0f} MB the largest alone ({largest})"
        )


def main():
    """Measure each command at both sizes, and what shares a pass."""
    import measuring

    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), measuring.VIT)
        for kind in ("gram", "attention", "cka"):
            peaks = [peak(kind, name, times) for times in (1, 8)]
            print(
                f"{kind}: {peaks[0] / 1e6:.0f} MB with {IMAGES} images, {peaks[1] / 1e6:.0f} MB "
                f"with {8 * IMAGES}: ratio {peaks[1] / peaks[0]:.3f}"
            )
        for config in (measuring.VIT, measuring.RESNET):
            shared(Path(name) / config["family"], config)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
