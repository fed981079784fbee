"""Results of an older version of the code that today's code would make byte for byte.

`carried.json`, beside this module, is the committed table of what was shown, one line a stage:
"what this rule made with the old digest is what it makes with the new one". `carry_over.py` writes
it from two finished runs. Whether a result is trusted is none of this module's business: only
accounts that were found to fit the files are translated, and only to what Snakemake compares; the
config is left as it was recorded, so that Snakemake compares it as ever.
"""

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sightlines.core.errors import ResultError
from sightlines.core.files import atomic
from sightlines.sharing.provenance import Provenance
from sightlines.sharing.records import no_longer_written
from sightlines.sharing.tracked import read_text, take_again

TABLE = Path(__file__).with_name("carried.json")
VERSION = 1


@dataclass(frozen=True)
class Command:
    """A stage as Snakemake compares it, but for its config.

    Attributes:
        code: Digest of its code.
        shell: The rule's command, with its placeholders.
        params: Its other parameters, as Snakemake writes them, where old and new have other ones.
    """

    code: str
    shell: str
    params: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """A stage whose outputs were byte for byte the same with an older and a newer version.

    Attributes:
        rule: Its rule, by the same name in both.
        old: How the older version made it.
        new: How the newer one makes it.
        commits: The two versions.
        jobs: Number of jobs that were compared.
        no_longer_read: Names of files that only the older version reads.
        no_longer_written: Names of files that only the older version writes.
        images: Kinds of dataset that the compared jobs read or wrote. Jobs on images of another
            kind are not carried over: how those are read was not compared.
    """

    rule: str
    old: Command
    new: Command
    commits: tuple[str, str]
    jobs: int
    no_longer_read: tuple[str, ...] = field(default=())
    no_longer_written: tuple[str, ...] = field(default=())
    images: tuple[str, ...] = field(default=())

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is found by."""
        return self.rule, self.old.code, self.old.shell


Table = Mapping[tuple[str, str, str], Stage]


def read_table(path: Path = TABLE) -> dict[tuple[str, str, str], Stage]:
    """The stages that are carried over; none without such a file.

    Raises:
        ResultError: it is damaged, of another version, or says two things of one stage.
        ShareError: it has merge conflicts, or cannot be read.
    """
    text = read_text(path)
    return dict(_parse(text, path)) if text is not None else {}


@functools.lru_cache(maxsize=2)
def _parse(text: str, path: Path) -> dict[tuple[str, str, str], Stage]:
    try:
        found = json.loads(text)
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']!r} is not {VERSION}")
        stages = [_stage(entry, found["shells"]) for entry in found["stages"]]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ResultError(
            f"{path} is no table of results to carry over ({type(error).__name__}: {error}): "
            f"{take_again(path)}"
        ) from error
    table = {stage.key: stage for stage in stages}
    if len(table) < len(stages):
        raise ResultError(f"{path} has two entries for one old stage: {take_again(path)}")
    return table


def _stage(entry: dict[str, Any], shells: dict[str, str]) -> Stage:
    def command(found: dict[str, Any]) -> Command:
        return Command(_text(found["code"]), _text(shells[found["shell"]]), _texts(found["params"]))

    old_commit, new_commit = _texts(entry["commits"])
    return Stage(
        rule=_text(entry["rule"]),
        old=command(entry["old"]),
        new=command(entry["new"]),
        commits=(old_commit, new_commit),
        jobs=int(entry["jobs"]),
        no_longer_read=_texts(entry["no_longer_read"]),
        no_longer_written=_texts(entry["no_longer_written"]),
        images=_texts(entry["images"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return tuple(map(_text, value))


def write_table(stages: Iterable[Stage], path: Path = TABLE) -> None:
    """Write the table: one line a stage, and each command once."""
    ordered = sorted(stages, key=lambda stage: stage.key)
    shells = sorted({c.shell for stage in ordered for c in (stage.old, stage.new)})
    numbers = {shell: str(number) for number, shell in enumerate(shells)}

    def command(made: Command) -> dict[str, Any]:
        return {"code": made.code, "shell": numbers[made.shell], "params": made.params}

    lines = [
        json.dumps(
            {
                "rule": stage.rule,
                "old": command(stage.old),
                "new": command(stage.new),
                "commits": stage.commits,
                "jobs": stage.jobs,
                "no_longer_read": stage.no_longer_read,
                "no_longer_written": stage.no_longer_written,
                "images": stage.images,
            }
        )
        for stage in ordered
    ]
    shell_lines = [f"{json.dumps(numbers[shell])}: {json.dumps(shell)}" for shell in shells]
    text = "\n".join(
        [
            "{",
            f'"version": {VERSION},',
            '"shells": {',
            ",\n".join(shell_lines),
            "},",
            '"stages": [',
            ",\n".join(lines),
            "]",
            "}",
            "",
        ]
    )
    with atomic(path) as handle:
        handle.write(text.encode())


def carry(job: Provenance, table: Table, asked: tuple[str, str] | None) -> Provenance:
    """A trusted account in the words of today's version, where that makes the same bytes.

    Args:
        job: The account.
        table: What is shown. A version in between may lead from the account's to today's.
        asked: Digest and command by which the job would run today; None where there is no such job.

    Returns:
        The job itself where it is today's already, or where the table does not lead there.
    """
    carried, passed = job, {_key(job)}
    while asked is not None and _key(carried)[1:] != asked:
        stage = table.get(_key(carried))
        found = _carry_once(carried, stage) if stage is not None else None
        if found is None or _key(found) in passed:
            return job
        carried = found
        passed.add(_key(carried))
    return carried


def _key(job: Provenance) -> tuple[str, str, str]:
    return str(job.metadata.get("rule")), str(job.record.get("code")), str(job.metadata.get("code"))


def _carry_once(job: Provenance, stage: Stage) -> Provenance | None:
    """The account in the words of the newer version; None where it is not the stage's old one."""
    params = set(job.metadata.get("params") or ())
    before = {repr(stage.old.code), *stage.old.params}
    outputs = _without(job.outputs, stage.no_longer_written)
    if not before <= params or not outputs or not all(job.outputs.values()):
        return None
    if not images_of(job) <= {*stage.images}:
        return None
    inputs = _without(job.inputs, stage.no_longer_read)
    dropped = {path: h for path, h in job.outputs.items() if path not in outputs}
    read = job.metadata.get("input") or ()
    metadata = job.metadata | {
        "code": stage.new.shell,
        "params": sorted(params - before | {repr(stage.new.code), *stage.new.params}),
        "input": [path for path in read if PurePosixPath(path).name not in stage.no_longer_read],
        "input_checksums": {path: f"sha256:{digest}" for path, digest in inputs.items()},
    }
    record = job.record | {
        "code": stage.new.code,
        "carried_from": [*carried_from(job.record), stage.old.code],
        "inputs": inputs,
        "outputs": outputs,
    }
    if left := no_longer_written(job.record) | dropped:
        record["no_longer_written"] = left
    sizes = {path: size for path, size in job.sizes.items() if path in outputs}
    return replace(
        job, metadata=metadata, record=record, inputs=inputs, outputs=outputs, sizes=sizes
    )


def images_of(job: Provenance) -> set[str]:
    """Kinds of the datasets whose files a job reads or writes: how the names of variants begin."""
    data = (PurePosixPath(p).parts for p in (*job.inputs, *job.outputs) if p.startswith("data/"))
    return {parts[1].partition("-")[0] for parts in data}


def carried_from(record: Mapping[str, Any]) -> list[str]:
    """Digests of the code that really made a job's outputs, and that it was carried over by."""
    found = record.get("carried_from", [])
    return [d for d in found if isinstance(d, str)] if isinstance(found, list) else []


def _without(paths: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    left_out = set(names)
    return {p: digest for p, digest in paths.items() if PurePosixPath(p).name not in left_out}
