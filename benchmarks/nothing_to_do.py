"""What does a Snakemake cost that finds everything made?

    python benchmarks/nothing_to_do.py CONFIG CHECKOUT…

In checkouts (this version's, an older one's) where the experiment is finished, each with a `.venv`
of its own. Prints CPU seconds of a call that has nothing to do, calls interleaved and the least of
five, the ratio to the last checkout's, and what Snakemake itself needs for one rule that has run.
"Planned" is the first checkout's call where something differs from all earlier ones, so that
nothing is remembered of the whole (`sharing/unchanged.py`): here a variable of the environment.
"""

import os
import resource
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

ONE_RULE = 'rule one:\n    output: "one"\n    shell: "touch {output}"\n'
REPEATS = 5


def cpu_s(checkout: Path, folder: Path, words: list[str], is_new: bool = False) -> float:
    """CPU seconds of a checkout's Snakemake in a folder, which must have nothing to do.

    Args:
        checkout: Whose Snakemake.
        folder: Where it is called.
        words: Of its command line.
        is_new: Whether no call before had this environment.
    """
    program = checkout / ".venv/bin/snakemake"
    env = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    env |= {"SIGHTLINES_BENCHMARK": secrets.token_hex(8)} if is_new else {}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(program), "--cores", "1", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if "Nothing to be done" not in done.stdout + done.stderr:
        sys.exit(f"{folder}: something is to be done\n{done.stderr[-2000:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    config, *given = sys.argv[1:]
    checkouts = [Path(folder).resolve() for folder in given]
    with tempfile.TemporaryDirectory() as name:
        bare = Path(name)
        (bare / "Snakefile").write_text(ONE_RULE)
        subprocess.run(
            [checkouts[0] / ".venv/bin/snakemake", "--cores", "1"],
            cwd=bare,
            capture_output=True,
            check=True,
        )
        plan = ["--configfile", config, "--dry-run"]
        first = checkouts[0]
        calls: list[tuple[str, Path, Path, list[str], bool]]
        calls = [(f"{c}", c, c, plan, False) for c in checkouts]
        calls.append((f"{first}, planned", first, first, plan, True))
        calls.append(("Snakemake alone", first, bare, [], False))
        # What is remembered of the start before.
        for _, checkout, folder, words, is_new in calls * 2:
            cpu_s(checkout, folder, words, is_new)
        found = [[cpu_s(*call[1:]) for call in calls] for _ in range(REPEATS)]
    least = [min(times) for times in zip(*found, strict=True)]
    last = least[len(checkouts) - 1]
    for (label, *_), seconds in zip(calls, least, strict=True):
        print(f"{seconds:6.2f} s  {seconds / last:5.2f}  {label}")


if __name__ == "__main__":
    main()
