"""Peak memory of the Gram dump, the attention dump and the CKA measure at 1 × and 8 × the images.

    python benchmarks/memory.py

Each runs in a process of its own; prints the ratio of the peaks. Goal: at most 1.1.

Then a table of the kinds of dumps that share a pass: the peak of the largest alone; what the others
keep of a minibatch, which the pass may hold beside it; the peak of one pass; and of the passes into
which it splits where it may hold a quarter of that, one after the other in one process.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
IMAGES, MINIBATCH = 256, 64
TABLE = """
| MB | kinds | the largest alone | the others keep | in one pass (of both) | split |
|---|---|---|---|---|---|"""


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
        record_kinds(kind.strip("+").split("+"), folder / "shared", times)
    else:
        from tests.dumps.making_experiments import record

        reference = folder / str(times) / "reference.safetensors"
        record(kind, folder, folder / "data" / "dataset.json", reference, output)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def peak(kind, folder, times=1):
    """Peak memory in bytes of one command in a process of its own."""
    return measured(kind, folder, times)[-1]


def measured(kind, folder, number):
    """All that a command in a process of its own prints; its peak memory in bytes is the last."""
    command = [sys.executable, __file__, kind, str(folder), str(number)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return [int(word) for word in done.stdout.split()]


def kept_by_others(watched):
    """What all kinds but the largest keep of a minibatch, in bytes."""
    sizes = sorted(own.rows_bytes for own in watched.values())
    return sum(sizes[:-1])


def record_kinds(kinds, folder, share):
    """Record some kinds, in passes that hold so many per cent of what the others keep.

    Prints how many passes there were, and what the others keep.
    """
    import one_pass

    from sightlines.dumps.passes import passes_of

    one, watched = one_pass.watch(folder, kinds)
    kept = kept_by_others(watched)
    passes = passes_of(watched, kept * share // 100)
    for together in passes:
        one_pass.write(folder, one, {kind: watched[kind] for kind in together})
    print(len(passes), kept)


def shared(folder, config):
    """Print a line of the table for each pass of a network."""
    import one_pass

    one_pass.prepare(folder / "shared", config, 512)
    for word in ("reference", "labelled"):
        kinds = list(one_pass.kinds_of(word, config))
        alone = {kind: measured(f"{kind}+", folder, 100)[-1] for kind in kinds}
        largest = max(alone, key=alone.__getitem__)
        _, kept, together = measured("+".join(kinds), folder, 100)
        count, _, split = measured("+".join(kinds), folder, 25)
        may = alone[largest] + kept
        cells = [f"{config['family']}, {word}", f"{len(kinds)}"]
        cells += [f"{alone[largest] / 1e6:.0f} ({largest})", f"{kept / 1e6:.1f}"]
        cells += [f"{together / 1e6:.0f} ({together / may:.3f})"]
        cells += [f"{split / 1e6:.0f} ({count} passes)"]
        print(f"| {' | '.join(cells)} |", flush=True)


def main():
    """Measure each command at both sizes, and what shares a pass."""
    import measuring

    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), measuring.VIT)
        for kind in ("gram", "attention", "cka"):
            peaks = [peak(kind, name, times) for times in (1, 8)]
            print(
                f"{kind}: {peaks[0] / 1e6:.0f} MB with {IMAGES} images, {peaks[1] / 1e6:.0f} MB "
                f"with {8 * IMAGES}: ratio {peaks[1] / peaks[0]:.3f}",
                flush=True,
            )
        print(TABLE)
        for config in (measuring.VIT, measuring.RESNET):
            shared(Path(name) / config["family"], config)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
