"""The frame around every command that a rule runs: arguments, log, record, errors.

    python -m sightlines.run.measure cka --config '{…}' --input gram A B --output cka C … --log L

reads, calls one function, writes. A job that ends well leaves a record beside the results
(content hashes, code digest, versions, hardware, times); one that fails says in one line what
is wrong and names its log. Where archives, image folders and weights lie comes from the environment
variable SIGHTLINES_DATA: it is no part of a result.
"""

import argparse
import json
import logging
import os
import platform
import re
import resource
import shlex
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from sightlines.core.errors import DiskError, SightlinesError
from sightlines.core.files import make_folder, sha256, write_json
from sightlines.core.hardware import describe_hardware
from sightlines.jobs.liveness import follow_parent, require_planned_code
from sightlines.jobs.shown import is_shown
from sightlines.plan.execution import EXECUTION

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pandas", "pyarrow", "matplotlib", "snakemake")
VERSION = re.compile(r"^Version:[ \t]*(\S+)[ \t]*$", re.MULTILINE)


@dataclass
class Job:
    """One command's arguments, and what it wants recorded.

    Attributes:
        name: For example ``train/vit_small/f100/s0``: the log's path below `logs/`.
        config: The slice of the experiment's config that this command uses.
        inputs: Input files by name, in the order given.
        outputs: Output files by name.
        source: Where archives, image folders and weights lie; never part of a result.
        log: Goes to the log file and, from INFO up, to the terminal.
        notes: Facts for the record, such as the device.
        member: Which measure, dump or figure a command of many runs; empty for a command of one.
        asked: `config` as it was given, without what changes no result.
        code: Digest of the code, as planned.
        shared_pass: Kinds of dumps that were recorded in one go with this one, itself included.
        moved_cpu_s: Processor seconds that another job spent for this one; negative: that this job
            spent for others.
        peak_memory_bytes: Of the process that made the outputs, where it was another.
    """

    name: str
    config: dict[str, Any]
    inputs: dict[str, list[Path]]
    outputs: dict[str, list[Path]]
    source: Path
    log: logging.Logger
    notes: dict[str, Any] = field(default_factory=dict)
    member: str = ""
    asked: str = ""
    code: str = ""
    shared_pass: list[str] = field(default_factory=list)
    moved_cpu_s: float = 0.0
    peak_memory_bytes: int = 0

    def input(self, name: str) -> Path:
        """The one input of that name."""
        (path,) = self.inputs[name]
        return path

    def output(self, name: str) -> Path:
        """The one output of that name."""
        (path,) = self.outputs[name]
        return path


def run(main: Callable[[Job], None]) -> None:
    """Run one command: the last line of every module that a rule runs."""
    arguments = _parser().parse_args()
    log_path: Path = arguments.log
    name = job_name(log_path)
    follows = os.environ.get("RANK", "0") != "0"
    if follows:  # one of several processes of a job: only rank 0 logs and writes
        log_path = log_path.with_suffix(f".process{os.environ['RANK']}.log")
    try:
        log = _logger(log_path, name, _spoken(follows))
    except SightlinesError as error:
        sys.exit(f"[{name}] {type(error).__name__}: {error}")
    job = Job(
        name=name,
        config=with_execution(json.loads(arguments.config)),
        inputs=_named(arguments.input),
        outputs=_named(arguments.output),
        source=Path(os.environ.get("SIGHTLINES_DATA", "sources")),
        log=log,
        member=arguments.member,
        asked=arguments.config,
        code=arguments.code,
    )
    log.debug(shlex.join(sys.orig_argv))
    follow_parent()
    began, began_cpu = time.time(), processor_time()
    try:
        require_planned_code(arguments.code)
        main(job)
        if follows:
            return
        _write_record(job, arguments, log_path, began, began_cpu)
    except SightlinesError as error:
        log.error(f"{type(error).__name__}: {error} (log: {log_path})")
        sys.exit(1)
    except SystemExit as error:
        log.error(f"{error} (log: {log_path})")
        sys.exit(1)
    except BaseException as error:
        log.debug(traceback.format_exc())
        log.error(f"{type(error).__name__}: {error} (traceback in the log: {log_path})")
        sys.exit(1)
    log.info(f"done in {time.time() - began:.1f} s")


def _spoken(follows: bool) -> int:
    """From which level on a job speaks on the terminal, beside its log.

    Where the Snakemake that started it shows its run itself (`sightlines.console`), it reads the
    jobs' logs, and they say nothing.
    """
    if is_shown():
        return logging.CRITICAL + 1
    return logging.ERROR if follows else logging.INFO


def record_path(log_path: Path) -> Path:
    """Where the record of the job with this log lies."""
    parts = list(log_path.with_suffix(".json").parts)
    parts[len(parts) - 1 - parts[::-1].index("logs")] = "records"
    return Path(*parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("member", nargs="?", default="", help="which measure, dump or figure")
    parser.add_argument("--config", required=True, help="the config slice, as JSON")
    parser.add_argument("--code", default="", help="digest of the code, for the record")
    parser.add_argument("--input", nargs="+", action="append", default=[], metavar="NAME PATH")
    parser.add_argument("--output", nargs="+", action="append", default=[], metavar="NAME PATH")
    parser.add_argument("--log", type=Path, required=True)
    return parser


def with_execution(config: dict[str, Any]) -> dict[str, Any]:
    """A slice of the config with the values that change no result."""
    if "compute" in config:
        config["compute"] |= EXECUTION | json.loads(os.environ.get("SIGHTLINES_EXECUTION", "{}"))
    return config


def _named(groups: list[list[str]]) -> dict[str, list[Path]]:
    return {name: [Path(p) for p in paths] for name, *paths in groups}


def job_name(log_path: Path) -> str:
    """A job's name: its log's path below `logs/`, without the ending."""
    path = log_path.with_suffix("")
    parts = path.parts
    if "logs" not in parts:
        return path.as_posix()
    return "/".join(parts[len(parts) - parts[::-1].index("logs") :])


def _logger(path: Path, name: str, spoken: int) -> logging.Logger:
    make_folder(path.parent)
    if path.is_symlink():
        path.unlink()  # it came with somebody's results: what it leads to is not ours to write
    logging.raiseExceptions = False  # a full disk is reported once, not at every line of the log
    log = logging.getLogger("sightlines")
    log.setLevel(logging.DEBUG)
    log.handlers.clear()
    log.propagate = False
    try:
        to_file = logging.FileHandler(path, mode="w")
    except OSError as error:
        raise DiskError(
            f"cannot write {path}: {error.strerror}. Free some space or fix the folder's "
            "permissions, then run the same command again."
        ) from error
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setLevel(spoken)
    to_terminal.setFormatter(logging.Formatter(f"[{name}] %(message)s"))
    log.addHandler(to_file)
    log.addHandler(to_terminal)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(to_file)
    return log


def _write_record(
    job: Job, arguments: argparse.Namespace, log_path: Path, began: float, began_cpu: float
) -> None:
    def hashes(groups: dict[str, list[Path]]) -> dict[str, str]:
        return {p.as_posix(): sha256(p) for paths in groups.values() for p in paths if p.is_file()}

    usage = resource.getrusage(resource.RUSAGE_SELF)
    write_json(
        record_path(log_path),
        {
            "job": job.name,
            "code": arguments.code,
            "config": json.loads(arguments.config),
            "inputs": hashes(job.inputs),
            "outputs": hashes(job.outputs),
            "notes": job.notes,
            "python": platform.python_version(),
            "packages": versions(),
            "hardware": describe_hardware(),
            "wall_s": round(time.time() - began, 3),
            "cpu_s": round(processor_time() - began_cpu + job.moved_cpu_s, 3),
            "peak_memory_bytes": max(usage.ru_maxrss * 1024, job.peak_memory_bytes),
            **({"shared_pass": job.shared_pass} if job.shared_pass else {}),
        },
    )


def processor_time() -> float:
    """Processor seconds of this process so far, and of its processes that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def versions() -> dict[str, str]:
    """Versions of the packages that decide about bytes."""
    return {package: version for package in PACKAGES if (version := _version(package))}


def _version(package: str) -> str:
    """A package's version, empty where it is not installed.

    Read from the first lines of its description: `metadata.version` parses all of it, 6 ms each.
    """
    try:
        text = metadata.distribution(package).read_text("METADATA") or ""
        found = VERSION.search(text.partition("\n\n")[0])
        return found[1] if found else metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
