"""What does Snakemake's own process cost for each job, while other jobs wait?

    python benchmarks/scheduler.py [200 2000]

Runs that many trivial jobs beside a long one on two cores, bare and as our Snakefile holds it
(`sharing/snakemake_process.py`), and prints CPU milliseconds of Snakemake's process for each job,
without its children and without its start, and its threads at the end. The cost of a job should
be the same however many there are.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SNAKEFILE = """
JOBS = config["jobs"]
rule all:
    input: expand("short/{i}", i=range(JOBS)), "long"
rule short:
    input: "shared"
    output: "short/{i}"
    log: "logs/{i}.log"
    params: cfg=lambda w: '{"job": %s}' % w.i
    shell: "touch {output}"
rule long:
    output: "long"
    priority: 1
    shell: "mkdir -p short; until [ $(ls short | wc -l) -ge {JOBS} ]; do sleep 0.2; done; "
        "grep Threads /proc/$PPID/status >{output}"
"""
OPTIONS = ["--cores", "2", "--scheduler", "greedy", "--max-checksum-file-size", "100GB"]


def snakemake(is_held: bool, words: list[str]) -> None:
    """Snakemake's command in this process; the CPU seconds of the process in the file `cpu`."""
    from snakemake.cli import main as run

    from sightlines.sharing import snakemake_process

    if is_held:
        snakemake_process.hold()
    try:
        run(words)
    finally:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        Path("cpu").write_text(json.dumps(usage.ru_utime + usage.ru_stime))


def run(jobs: int, is_held: bool) -> tuple[float, int]:
    """CPU seconds of Snakemake's process for so many short jobs, and its threads at their end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Snakefile").write_text(SNAKEFILE)
        (folder / "shared").write_bytes(bytes(1_000_000))
        os.utime(folder / "shared", (1e9, 1e9))
        command = [sys.executable, str(Path(__file__).resolve()), "held" if is_held else "bare"]
        command += [*OPTIONS, "--config", f"jobs={jobs}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        threads = int((folder / "long").read_text().split()[1])
        return json.loads((folder / "cpu").read_text()), threads


def main() -> None:
    counts = [int(word) for word in sys.argv[1:]] or [200, 2000]
    print(f"{'':20s}" + "".join(f"{n:>12,d} jobs" for n in counts) + f"{'last / first':>15s}")
    for is_held in (False, True):
        start = min(run(0, is_held)[0] for _ in range(3))
        found = [run(n, is_held) for n in counts]
        each = [1000 * (cpu - start) / n for (cpu, _), n in zip(found, counts, strict=True)]
        name = "held" if is_held else "bare Snakemake"
        print(
            f"{name:20s}" + "".join(f"{ms:9.1f} ms a job" for ms in each),
            f"{each[-1] / each[0]:13.2f}",
            flush=True,
        )
        print(f"{'':20s}" + "".join(f"{threads:9d} threads" for _, threads in found))


if __name__ == "__main__":
    if sys.argv[1:2] in (["held"], ["bare"]):
        snakemake(sys.argv[1] == "held", sys.argv[2:])
    else:
        main()
