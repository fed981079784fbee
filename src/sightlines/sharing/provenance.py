"""How every result of an experiment was made: `results/<experiment>/provenance.json`.

Git tracks this one file, and DVC the results that it speaks of: one commit names code, config,
results and how they came about. It gathers, for each job, Snakemake's record (what the next
`snakemake` compares), the job's own record (hashes, versions, hardware, times), and the size and
SHA-256 of each output. In another clone it comes from somebody else and is read as data.
"""

import ast
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightlines.core.errors import ResultError
from sightlines.core.files import read_json, write_json
from sightlines.core.git import git
from sightlines.plan.code_digest import code_parts
from sightlines.sharing.paths import is_ours
from sightlines.sharing.records import JobRecord, no_longer_written, record_of
from sightlines.sharing.snakemake_records import (
    FORMAT,
    Metadata,
    read_all,
    read_one,
    why_invalidated,
)
from sightlines.sharing.tracked import read_text, take_again

VERSION = 1
LARGEST_BYTES = 200_000_000
KEPT = (
    "rule",
    "input",
    "log",
    "params",
    "starttime",
    "endtime",
    "container_img_url",
    "conda_env",
    "software_stack_hash",
)
"""Of Snakemake's record; its code and checksums are kept in a shorter form."""
LONGEST_PARAM = 10_000_000
DAMAGED = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)
"""What reading somebody else's JSON may end in."""
REPEATED = ("hardware", "packages", "python")
"""Parts of a job's record that most jobs share."""


@dataclass(frozen=True)
class Provenance:
    """One job: what it read, what it wrote, and Snakemake's record of it.

    Attributes:
        name: Such as ``train/vit_small/f100/s0``.
        log: Its log file, which names the job.
        metadata: Snakemake's record, the same for each output.
        inputs: SHA-256 of each input as it was read, by path.
        outputs: SHA-256 of each output, by path; empty where it is not known.
        sizes: Bytes of each output, by path.
        record: The job's own record; empty where there is none.
    """

    name: str
    log: str
    metadata: Metadata
    inputs: dict[str, str]
    outputs: dict[str, str]
    sizes: dict[str, int] = field(default_factory=dict)
    record: JobRecord = field(default_factory=dict)


def provenance_path(experiment: str) -> Path:
    """Where an experiment's provenance lies."""
    return Path("results", experiment, "provenance.json")


def local_jobs(experiment: str) -> list[Provenance]:
    """Jobs that this folder's Snakemake knows: the experiment's and its data's.

    Metadata that are not of a job of ours (another Snakefile may be at home here) are left out.
    """
    grouped: dict[str, dict[str, Metadata]] = {}
    for output, metadata in read_all((f"results/{experiment}/", "data/")).items():
        logs = metadata.get("log")
        is_list = isinstance(logs, list) and len(logs) == 1 and isinstance(logs[0], str)
        if logs and is_list and is_log(logs[0]) and not why_invalidated(metadata):
            # Two variants of a dataset, or a rule before and after a change, share a log.
            same = json.dumps([metadata.get(key) for key in ("log", "rule", "params", "input")])
            grouped.setdefault(same, {})[output] = metadata
    return [_local(outputs) for outputs in grouped.values()]


def is_log(name: str) -> bool:
    """Whether a name is that of a log of ours: ``results/<experiment>/logs/….log``."""
    parts = Path(name).parts
    return is_ours(name) and len(parts) > 3 and parts[0] == "results" and parts[2] == "logs"


def _local(outputs: dict[str, Metadata]) -> Provenance:
    metadata = next(iter(outputs.values()))
    log = str((metadata.get("log") or [""])[0])
    record = record_of(log)
    written = _hashes(record.get("outputs"))
    if not outputs.keys() & written.keys():
        record, written = {}, {}  # of another job with this log
    return Provenance(
        name=str(record.get("job", Path(log).stem)),
        log=log,
        metadata=metadata,
        inputs=_hashes(record.get("inputs")) | _checksums(metadata.get("input_checksums")),
        outputs={path: written.get(path, "") for path in outputs if path in written or not written},
        record=record,
    )


def _hashes(group: Any) -> dict[str, str]:
    return {k: v for k, v in group.items() if isinstance(v, str)} if isinstance(group, dict) else {}


def _checksums(group: Any) -> dict[str, str]:
    return {path: digest.removeprefix("sha256:") for path, digest in _hashes(group).items()}


def recorded_source(
    experiment: str, output: str, settings: dict[str, Any], key: str = "source"
) -> str:
    """Identity of the images or weights that a file was made from, where these settings made it.

    Args:
        experiment: Its provenance is asked where this folder's Snakemake knows nothing.
        output: Such as ``data/<variant>/dataset.json``.
        settings: Keys of the job's config that must be the same: ``dataset``, or ``model``.
        key: Of the job's config that has the identity.
    """
    records = [read_one(output) or {}]
    records += [
        job.metadata for job in read_provenance(experiment).values() if output in job.outputs
    ]
    for record in records:
        cut = _config(record) or {}
        if {key: cut.get(key) for key in settings} == settings:
            return str(cut.get(key, ""))
    return ""


def write_provenance(
    experiment: str,
    is_current: Callable[[str], bool] | None = None,
    removed: Iterable[str] = (),
) -> Path:
    """Gather what is known of the experiment's results, and write it.

    What was made elsewhere and is not here (it was not pulled) stays as it was recorded.

    Args:
        experiment: Its name.
        is_current: Whether the experiment still has an output, if not all count; what it no longer
            has, and what is not here, is left out.
        removed: Outputs that are about to be removed on purpose: how they were made stays known.
    """
    path = provenance_path(experiment)
    jobs = dict(read_provenance(experiment)) if path.is_file() else {}
    sizes = {output: size for job in jobs.values() for output, size in job.sizes.items()}
    here = [job for job in local_jobs(experiment) if _is_whole(job) and _is_here(job)]
    made_here = {output for job in here for output in job.outputs}
    jobs = {log: job for log, job in jobs.items() if not made_here & set(job.outputs)}
    jobs |= {job.log: job for job in here}
    read = {name for job in jobs.values() for name in job.inputs}
    kept = [
        job
        for job in jobs.values()
        if (job.log.startswith(f"results/{experiment}/") or read & set(job.outputs))
        and any(is_current is None or is_current(p) or Path(p).is_file() for p in job.outputs)
    ]
    if not kept and not path.is_file():
        return path  # nothing was made
    named = {output for job in kept for output in job.outputs}
    gone = {p for p in read_removed(experiment) if not Path(p).is_file()} | {*removed}
    tables: dict[str, dict[str, Any]] = {"shells": {}, "environments": {}}
    written = {job.log: _as_json(job, tables, sizes) for job in kept}
    earlier = read_codes(experiment) if path.is_file() else {}
    codes = {d: code_parts(d) or earlier.get(d) for job in kept for d in _digests(job)}
    write_json(
        path,
        {
            "version": VERSION,
            "snakemake_records": FORMAT,
            "experiment": experiment,
            "jobs": written,
            **({"removed": sorted(gone & named)} if gone & named else {}),
            **_numbered({name: parts for name, parts in codes.items() if parts}),
            **tables,
        },
    )
    return path


def _numbered(codes: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Digests of code as numbers of their parts, most of which many have in common."""
    parts = sorted({part for known in codes.values() for part in known.items()})
    numbers = {part: number for number, part in enumerate(parts)}
    written = {
        digest: " ".join(str(numbers[part]) for part in sorted(known.items()))
        for digest, known in codes.items()
    }
    return {"codes": written, "code_parts": [" ".join(part) for part in parts]}


def _is_here(job: Provenance) -> bool:
    """Whether any of its outputs is: a job of an earlier config leaves only Snakemake's records."""
    return any(Path(path).is_file() for path in job.outputs)


def _is_whole(job: Provenance) -> bool:
    return all(job.outputs.values())


def _digests(job: Provenance) -> list[str]:
    code = job.record.get("code")
    return [code] if isinstance(code, str) and code else []


def job_config(job: Provenance) -> Any:
    """The slice of the config that a job was made from; None where no record tells."""
    return job.record.get("config", _config(job.metadata))


def job_code(job: Provenance) -> str:
    """Digest of the code that made a job's outputs; empty where no record tells."""
    return next(iter(_digests(job)), "")


def _as_json(
    job: Provenance, tables: dict[str, dict[str, Any]], earlier_sizes: dict[str, int]
) -> dict[str, Any]:
    metadata = {key: job.metadata.get(key) for key in KEPT}
    if sorted(job.inputs) == metadata["input"]:
        metadata["input"] = None
    here = {p: Path(p).stat().st_size for p in job.outputs if Path(p).is_file()}
    sizes = earlier_sizes | here
    environment = {key: job.record[key] for key in REPEATED if key in job.record}
    left_out = [*REPEATED, "inputs", "outputs"]
    if job.record.get("config") == _config(job.metadata):
        left_out.append("config")
    return {
        "snakemake": metadata,
        "shell": _filed(tables["shells"], job.metadata.get("code")),
        "inputs": job.inputs,
        "outputs": {path: [digest, sizes.get(path, 0)] for path, digest in job.outputs.items()},
        "record": {k: v for k, v in job.record.items() if k not in left_out},
        "environment": _filed(tables["environments"], environment),
    }


def _config(metadata: Metadata) -> Any:
    """The slice of the config among a job's parameters."""
    for text in metadata.get("params") or ():
        with contextlib.suppress(SyntaxError, *DAMAGED):
            found = json.loads(ast.literal_eval(text)) if len(text) < LONGEST_PARAM else None
            if isinstance(found, dict):
                return found
    return None


def _filed(table: dict[str, Any], value: Any) -> str:
    key = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
    table[key] = value
    return key


def read_provenance(experiment: str) -> dict[str, Provenance]:
    """Jobs that the experiment's provenance names, by their logs; none without such a file.

    Raises:
        ResultError: it is damaged, too large, of an unknown version, or names files elsewhere.
        ShareError: it has merge conflicts, or cannot be read.
    """
    found = _read(experiment)
    return {} if found is None else {log: _job(experiment, log, found) for log in found["jobs"]}


def read_removed(experiment: str) -> set[str]:
    """Outputs that were removed on purpose: nothing misses them."""
    return _texts((_read(experiment) or {}).get("removed"))


def removed_before_sharing(experiment: str) -> set[str]:
    """Outputs that had been removed when the last commit shared the others.

    Where no commit has shared anything, those that are removed now.
    """
    try:
        found = json.loads(git("show", f"HEAD:./{provenance_path(experiment).as_posix()}"))
        return _texts(found.get("removed"))
    except DAMAGED:
        return read_removed(experiment)


def _texts(value: Any) -> set[str]:
    return {v for v in value if isinstance(v, str)} if isinstance(value, list) else set()


def read_codes(experiment: str) -> dict[str, dict[str, str]]:
    """Digest of a job's code -> digest of each definition of it, by ``module:name``.

    Of what an older version made: of each module.
    """
    found = _read(experiment) or {}
    codes, parts = found.get("codes"), found.get("code_parts")
    if not isinstance(codes, dict):
        return {}
    listed = [str(part).partition(" ") for part in parts] if isinstance(parts, list) else []
    return {
        digest: _parts(known, listed) if isinstance(known, str) else _hashes(known)
        for digest, known in codes.items()
    }


def _parts(numbers: str, listed: list[tuple[str, str, str]]) -> dict[str, str]:
    """The parts of a digest by their numbers; none where these are damaged."""
    words = numbers.split()
    if not all(w.isascii() and w.isdigit() and len(w) < 9 and int(w) < len(listed) for w in words):
        return {}
    return {listed[int(word)][0]: listed[int(word)][2] for word in words}


def _read(experiment: str) -> dict[str, Any] | None:
    path = provenance_path(experiment)
    if path.is_file() and path.stat().st_size > LARGEST_BYTES:
        raise ResultError(f"{path} is too large for a provenance file: {_cure(path)}")
    if read_text(path) is None:
        return None
    try:
        found = read_json(path)
    except ResultError as error:
        raise ResultError(f"cannot read {path}: {error.__cause__}. {_cure(path)}") from error
    tables = ("jobs", "shells", "environments")
    if not isinstance(found, dict) or not all(isinstance(found.get(t), dict) for t in tables):
        raise ResultError(f"{path} is no provenance file: {_cure(path)}")
    if found.get("version") != VERSION or found.get("snakemake_records") != FORMAT:
        raise ResultError(
            f"{path} was written by another version of sightlines or Snakemake: use the versions "
            f"of requirements.lock (`make setup`), or {_cure(path)}"
        )
    return found


def _cure(path: Path) -> str:
    """What to do about a damaged provenance file."""
    return (
        f"{take_again(path)}; if it was never shared, delete it: what the records here tell is "
        "written again by the next snakemake"
    )


def _job(experiment: str, log: str, found: dict[str, Any]) -> Provenance:
    path = provenance_path(experiment)
    if found.get("experiment") != experiment:
        raise ResultError(
            f"{path} is of the experiment {found.get('experiment')!r}: give folder and config that "
            "name again, or delete this file, and the results will be made anew"
        )
    try:
        entry = found["jobs"][log]
        outputs = {str(k): (str(v[0]), int(v[1])) for k, v in entry["outputs"].items()}
        inputs = {str(k): str(v) for k, v in entry["inputs"].items()}
        record = dict(entry["record"])
        metadata = {key: entry["snakemake"].get(key) for key in KEPT}
        metadata |= {
            "code": found["shells"][entry["shell"]],
            "input_checksums": {k: f"sha256:{v}" for k, v in inputs.items()},
            "job_hash": int(hashlib.sha256(log.encode()).hexdigest()[:12], 16),
        }
        if metadata["input"] is None:
            metadata["input"] = sorted(inputs)
        if record:
            record.setdefault("config", _config(metadata))
        environment = dict(found["environments"][entry["environment"]])
        _check_types(metadata)
        left = {str(k): str(v) for k, v in no_longer_written(record).items()}
        json.dumps(record, allow_nan=False).encode()
    except DAMAGED as error:
        raise ResultError(f"{path}: the entry of {log!r} is damaged: {_cure(path)}") from error
    names = [log, *outputs, *inputs, *left, *(metadata["input"] or [])]
    strange = [name for name in names if not is_ours(name)]
    strange += [p for p in outputs if not p.startswith((f"results/{experiment}/", "data/"))]
    if not is_log(log) or metadata["log"] != [log]:
        strange.append(log)
    if strange:
        raise ResultError(
            f"{path} names {strange[0]!r}, which is outside results/ and data/: do not use these "
            "results"
        )
    hashes = {p: digest for p, (digest, _) in outputs.items()}
    if record:
        record |= {"inputs": inputs, "outputs": hashes, **environment}
    sizes = {p: size for p, (_, size) in outputs.items()}
    name = str(record.get("job", Path(log).stem))
    return Provenance(name, log, metadata, inputs, hashes, sizes, record)


def _check_types(metadata: Metadata) -> None:
    """Snakemake would stop with a traceback at a record of other types."""
    texts = ("rule", "code", "container_img_url", "conda_env", "software_stack_hash")
    if not all(isinstance(metadata[key], str | None) for key in texts):
        raise TypeError("a text is none")
    for key in ("input", "log", "params"):
        found = metadata[key]
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise TypeError("a list of texts is none")
    if not all(isinstance(metadata[k], int | float | None) for k in ("starttime", "endtime")):
        raise TypeError("a time is none")
