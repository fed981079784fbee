"""What share of a whole run is not spent in training or dumping (set-up apart)?

    python benchmarks/workflow_share.py [workflow/config/default.yaml]

Runs the experiment from nothing in a temporary folder and compares Snakemake's wall time, times the
cores that it had, with the wall time of the training and dumping jobs (each runs on one core).
Prints the share that is left: planning, process starts of the other jobs, tables, figures,
the report, and cores that wait. Goal: at most 30 %.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    config = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "workflow/config/default.yaml")
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        command = ["snakemake", "--snakefile", f"{ROOT}/Snakefile", "--directory", folder]
        began = time.monotonic()
        subprocess.run([*command, "--configfile", str(config.absolute())], check=True)
        wall = time.monotonic() - began
        stages: dict[str, float] = {}
        for path in Path(folder, "results", config.stem, "records").rglob("*.json"):
            record = json.loads(path.read_text())
            stage = record["job"].split("/")[0]
            stages[stage] = stages.get(stage, 0.0) + record["wall_s"]
    for stage, seconds in sorted(stages.items(), key=lambda item: -item[1]):
        print(f"{stage:10s} {seconds:8.1f} s of jobs")
    networks = stages.get("train", 0.0) + stages.get("dump", 0.0)
    print(f"whole run  {wall:8.1f} s on {cores} cores")
    print(f"not training or dumping: {1 - networks / (wall * cores):.1%} (goal: at most 30 %)")


if __name__ == "__main__":
    main()
