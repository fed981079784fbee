"""What does a job cost in the warm process, and what as a process of its own?

    python benchmarks/warm_start.py [folder ["sightlines.run.dump gram" …]]

In a checkout with a finished smoke run, or a folder that is named. Runs one job of each kind (or
of those that are named) again, on copies of its files, both ways, and prints CPU and wall seconds
of each, start and imports counted. The warm process's own imports are said apart: they are paid
once a Snakemake.
"""

import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sightlines.jobs import liveness
from sightlines.jobs.start import PARENT, WARM

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


def commands(folder: Path) -> dict[str, list[str]]:
    """Module of a kind of job -> its first command, without Python and `start`."""
    plan = ["snakemake", "--snakefile", f"{ROOT}/Snakefile", "--directory", str(folder)]
    plan += ["--configfile", f"{ROOT}/workflow/config/smoke.yaml", "-n", "-p", "--forceall"]
    said = subprocess.run(plan, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {}
    for line in re.findall(r"python -m (sightlines\..*)", said.stdout + said.stderr):
        words = shlex.split(line)
        words = words[1:] if words[0] == "sightlines.jobs.start" else words
        kind = " ".join(words[: 1 if words[1].startswith("--") else 2])
        found.setdefault(kind, words)
    return found


def warm_seconds(parent: int) -> tuple[float, float]:
    """CPU of the warm process of a parent, and of its ended jobs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
            if b"sightlines.jobs.warm" in words and words[-2] == str(parent).encode():
                times = path.with_name("stat").read_text().rpartition(")")[2].split()[11:15]
                own, system, theirs, theirs_system = (int(t) / TICKS for t in times)
                return own + system, theirs + theirs_system
        except OSError:
            continue
    return 0.0, 0.0


def run(words: list[str], folder: Path, env: dict[str, str]) -> tuple[float, float]:
    """CPU of a command and its children, and wall time."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(words[:2])} failed: {done.stderr[-2000:]}")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu, wall


def main() -> None:
    source = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("results/smoke", "data"):
            shutil.copytree(source / part, folder / part)
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        parent = subprocess.Popen(["sleep", "3600"])
        warm = {**env, WARM: "1"}
        warm[PARENT] = f"{liveness.me().rpartition(':')[0]}:{parent.pid}"
        try:
            totals = [0.0, 0.0, 0.0]
            print(
                f"{'job':45s} {'plain CPU':>9s} {'wall':>6s} {'warm CPU':>9s} {'wall':>6s}  imports"
            )
            for kind, words in commands(folder).items():
                if len(sys.argv) > 2 and words[0] not in sys.argv[2:]:
                    continue
                plain = run(words, folder, env)
                own, jobs = warm_seconds(parent.pid)
                start, wall = run(["sightlines.jobs.start", *words], folder, warm)
                own_after, jobs_after = warm_seconds(parent.pid)
                cpu, imports = start + jobs_after - jobs, own_after - own
                totals = [t + s for t, s in zip(totals, (plain[0], cpu, imports), strict=True)]
                print(
                    f"{kind:45s} {plain[0]:9.2f} {plain[1]:6.2f} {cpu:9.2f} {wall:6.2f} "
                    f"{imports:8.2f}",
                    flush=True,
                )
            print(
                f"{'one of each':45s} {totals[0]:9.2f} {'':6s} {totals[1]:9.2f} {totals[2]:15.2f}"
            )
        finally:
            parent.kill()
            parent.wait()


if __name__ == "__main__":
    main()
