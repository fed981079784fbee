"""Cost of holding results against their records at each start of Snakemake.

    python benchmarks/adoption.py [jobs] [kilobytes an output]

A made experiment: chains of a network, a dump of it, and tables of all dumps. Prints the seconds of
the first look after a pull (everything is read once), of the next, and of reading the bytes alone.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from sightlines.core.files import sha256
from sightlines.sharing import snakemake_records
from sightlines.sharing.adopt import adopt
from sightlines.sharing.provenance import write_provenance


def make(name: str, reads: list[str], content: bytes) -> str:
    """Leave one job's output, Snakemake's record and its own, and return the output's path."""
    path = f"results/made/{name}.bin"
    log = f"results/made/logs/{name}.log"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)
    hashes = {read: sha256(Path(read)) for read in reads}
    metadata = {
        "rule": name.split("/")[0],
        "input": sorted(reads),
        "log": [log],
        "params": ["'0123456789abcdef'", repr(json.dumps({"config": "x" * 1500}))],
        "code": "python -m sightlines.made --config {params.cfg:q}",
        "starttime": 1.0,
        "endtime": 2.0,
        "input_checksums": {read: f"sha256:{digest}" for read, digest in hashes.items()},
    }
    snakemake_records.install(path, metadata)
    record = {"job": name, "code": "0123456789abcdef", "inputs": hashes}
    record["outputs"] = {path: sha256(Path(path))}
    at = Path(f"results/made/records/{name}.json")
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_text(json.dumps(record))
    return path


def timed() -> float:
    """Seconds of one adoption."""
    began = time.perf_counter()
    found = adopt("made")
    assert not found.invalidated
    return time.perf_counter() - began


def main() -> None:
    """Make an experiment, forget what this folder knew of it, and time."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    size = int(sys.argv[2]) * 1000 if len(sys.argv) > 2 else 500_000
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        nets = [make(f"train/{i}", [], os.urandom(size)) for i in range(jobs // 2)]
        dumps = [make(f"dump/{i}", [net], os.urandom(size)) for i, net in enumerate(nets)]
        for i in range(20):
            make(f"measure/{i}", dumps, os.urandom(size))
        write_provenance("made")
        for name in (".snakemake", "results/made/records"):
            shutil.rmtree(name)
        files = [p for p in Path("results/made").rglob("*.bin")]
        began = time.perf_counter()
        for path in files:
            sha256(path)
        reading = time.perf_counter() - began
        first = timed()
        time.sleep(2.5)
        again = [timed() for _ in range(3)]
        print(
            f"{len(files)} outputs, {sum(p.stat().st_size for p in files) / 1e6:,.0f} MB: "
            f"first look {first:.2f} s, next {again[0]:.2f} s, then {min(again[1:]):.2f} s; "
            f"reading the bytes alone {reading:.2f} s: first look / reading {first / reading:.2f}"
        )
        os.chdir("/")


if __name__ == "__main__":
    main()
