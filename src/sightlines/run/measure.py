"""Command: runs one measure: opens what it reads, calls its `measure`, writes what that returns.

    python -m sightlines.jobs.start sightlines.run.measure cka --config '{…}' --input gram A B …

A measure's file declares READS, USES, TABLES and FILES, and holds one function, `measure`, which is
called with keywords: one for each of READS, named without its ending, and one for each of USES.

| of READS | argument |
|---|---|
| a kind of dump | its readers, in the networks' order |
| `pixels` | the reader of the reference images' own Grams |
| a table | the data frame |
| `history.csv`, `card.json` | network -> data frame, or entries of the file |
| dumps of other tasks (`plan.recordings.TASK_KINDS`) | task -> readers |

`measure` returns for each of TABLES a data frame, or an iterable of frames to be put together, and
for each of FILES a `TensorFile`. An iterable is gone through while it is written, so that no two
tables need be held at once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightlines.core.errors import ResultError, SchemaError
from sightlines.core.files import TensorFile, read_json, write_table, write_tensor_file
from sightlines.core.threads import one_thread
from sightlines.dumps.features_reading import check_labelled
from sightlines.dumps.reading import Dump, check_together
from sightlines.jobs.command import Job, run
from sightlines.plan import registry
from sightlines.plan.experiment import MODEL_FILES
from sightlines.plan.networks import Network
from sightlines.plan.recordings import TRANSFER_KINDS
from sightlines.plan.table_schemas import Schema, written
from sightlines.results.tables import joined, read_checked

PIXELS = "pixels/f000/s0"
"""What the Grams of the reference images say in place of a network."""
OF_DOSES = {"tuned_conflicts": "conflicts", "tuned_corruptions": "corruptions"}
"""`plan.recordings.DOSE_KINDS`, written out: by its name every measure would depend on it."""
SHOWN_OWN_IMAGES = ("tuned_gram", "tuned_attention")
"""Of these the ones whose networks were shown the experiment's own reference images."""


def main(job: Job) -> None:
    """Run the measure that the job names.

    Raises:
        ResultError: an input is missing, damaged or does not go with the others.
        SchemaError: the measure returns something else than it declares.
    """
    schemas = written("measures", job.member)
    with one_thread():
        found = registry.load("measures", job.member).measure(**arguments(job))
        names = list(found) if isinstance(found, dict) else [type(found).__name__]
        if set(names) != set(schemas):
            raise SchemaError(
                f"measures/{job.member}.py declares {', '.join(schemas)}, "
                f"but its measure returns {', '.join(names)}"
            )
        for name, schema in schemas.items():
            _write(job.output(Path(name).stem), found.pop(name), schema)


def _write(path: Path, content: Any, schema: Schema) -> None:
    if not schema.columns:
        if not isinstance(content, TensorFile):
            raise SchemaError(f"{schema.writer}.py: {schema.name} is no TensorFile")
        write_tensor_file(path, content)
        return
    write_table(path, joined(content, schema))


def arguments(job: Job) -> dict[str, Any]:
    """What a measure is called with: its inputs, opened and checked, and its settings.

    Raises:
        ResultError: an input is missing, damaged or does not go with the others.
    """
    declared = registry.declarations("measures", job.member)
    entries = declared.get("ENTRIES", {})
    found = {
        read.rpartition(".")[0] or read: _open(job, read, entries.get(read, ()))
        for read in declared["READS"]
    }
    _check_dumps(job, found)
    known = job.config | {"networks": [Network.parse(slug) for slug in job.config["networks"]]}
    return found | {key: known[key] for key in declared.get("USES", ())}


def _open(job: Job, read: str, entries: Sequence[str]) -> Any:
    paths = job.inputs.get(read, [])
    if read in MODEL_FILES:
        return {_network(path.parent): _model_file(path, entries) for path in paths}
    of_tasks = TRANSFER_KINDS | OF_DOSES
    if read in of_tasks:
        return _by_task(of_tasks[read], paths)
    if read.endswith((".csv", ".parquet")):
        return read_checked(job.input(read), read)
    reader = _reader(read)
    return reader(job.input(read)) if read == "pixels" else [reader(path) for path in paths]


def _reader(kind: str) -> Any:
    """What opens the dumps of a kind, as their module declares it."""
    return registry.attribute(registry.declarations("dumps", kind)["READER"])


def _by_task(kind: str, paths: Sequence[Path]) -> dict[str, list[Any]]:
    tasks: dict[str, list[Any]] = {}
    for path in paths:
        tasks.setdefault(_task(path.with_suffix("")), []).append(_reader(kind)(path))
    return tasks


def _model_file(path: Path, entries: Sequence[str]) -> Any:
    """A file that lies beside a network's weights; JSON with the entries that the measure needs.

    Raises:
        ResultError: it is damaged, or lacks a column or an entry.
    """
    if path.suffix == ".csv":
        return read_checked(path, path.name)
    content = read_json(path)
    missing = [name for name in entries if not isinstance(content, dict) or name not in content]
    if missing:
        raise ResultError(
            f"{path} lacks {', '.join(missing)}. "
            "Delete its folder and run snakemake again to train the network anew."
        )
    return content


def _network(path: Path) -> Network:
    """Whose a file is, from `…/<model>/<fraction>/<seed>`."""
    return Network(*path.parts[-3:])


def _task(path: Path) -> str:
    """Which task's a file is, from `…/<task>/<what>/<model>/<fraction>/<seed>`."""
    return path.parts[-5]


def _check_dumps(job: Job, found: dict[str, Any]) -> None:
    """Check that dumps are those of the networks expected, and of the same images.

    Raises:
        ResultError: naming the file that does not belong, or two that do not go together.
    """
    dumps: list[Any] = []
    networks: list[str] = []
    for kind, slugs in job.config.get("dumped", {}).items():
        if found[kind] and not isinstance(found[kind][0], Dump):
            check_labelled(found[kind], slugs)
            continue
        dumps += found[kind]
        networks += slugs
    if "pixels" in found:
        dumps.append(found["pixels"])
        networks.append(PIXELS)
    for read in TRANSFER_KINDS | OF_DOSES:
        for readers in found.get(read, {}).values():
            slugs = [_network(reader.path.with_suffix("")).slug for reader in readers]
            if read in SHOWN_OWN_IMAGES:
                dumps += readers
                networks += slugs
            else:
                (check_together if isinstance(readers[0], Dump) else check_labelled)(readers, slugs)
    check_together(dumps, networks)


if __name__ == "__main__":
    run(main)
