"""Peak memory of the Gram dump, the attention dump and the CKA measure at 1 × and 8 × the images.

    python benchmarks/memory.py

Each runs in a process of its own; prints the ratio of the peaks. Goal: at most 1.1.
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
    else:
        from tests.dumps.making_experiments import record

        reference = folder / str(times) / "reference.safetensors"
        record(kind, folder, folder / "data" / "dataset.json", reference, output)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main():
    """Measure each command at both sizes."""
    import measuring

    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), measuring.VIT)
        for kind in ("gram", "attention", "cka"):
            peaks = []
            for times in (1, 8):
                command = [sys.executable, __file__, kind, name, str(times)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                peaks.append(int(done.stdout.split()[-1]))
            print(
                f"{kind}: {peaks[0] / 1e6:.0f} MB with {IMAGES} images, {peaks[1] / 1e6:.0f} MB "
                f"with {8 * IMAGES}: ratio {peaks[1] / peaks[0]:.3f}"
            )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
