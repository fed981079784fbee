"""Records dumps of one network: opens its images and weights, runs it, writes the files.

Kinds whose recorders declare the same PASS are recorded in one go where their jobs were planned
together (`jobs/passes.py`).
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sightlines.core.devices import prepare
from sightlines.core.errors import SightlinesError
from sightlines.core.files import (
    TensorFile,
    TensorWriter,
    require_free_space,
    safetensors_bytes,
    write_tensor_file,
)
from sightlines.datasets.store import open_splits
from sightlines.dumps import pixels
from sightlines.dumps.network import Shown, ShownImages
from sightlines.dumps.passes import Watched, passes_of, record_together
from sightlines.jobs.command import Job, processor_time, with_execution
from sightlines.jobs.passes import Part, Turn
from sightlines.plan import registry
from sightlines.plan.code_digest import changed_since
from sightlines.plan.networks import Network


def record(job: Job, turn: Turn) -> None:
    """Write a job's dump, and stage those of the jobs that share its pass.

    Raises:
        See `sightlines.run.dump.main`.
    """
    began, settings = processor_time(), job.config["compute"]
    compute = prepare(settings)
    job.notes.update(compute.describe())
    dataset, splits = job.input("dataset"), job.input("splits")
    images = ShownImages.open(dataset, splits, job.source, compute, settings["batch_size"])
    if "weights" not in job.inputs:
        _write(job, pixels.record(images))
        return
    network = Network(*job.config["network"])
    shown = Shown.of(images, network, job.input("weights"), job.input("card"), compute)
    read = {name: paths[0] for name, paths in job.inputs.items()}
    content = _recorded(job.member, shown, job.config, read)
    if isinstance(content, TensorFile):
        _write(job, content)
        return
    parts, kinds = {job.member: turn.own}, {job.member: content}
    for part, watched in _planned(shown, dataset, turn):
        parts[part.kind], kinds[part.kind] = part, watched
    _say_size(job, content)
    error = None
    for together in passes_of(kinds):
        paths = {kind: turn.place(parts[kind]) for kind in together}
        failed = _write_together(shown, {kind: kinds[kind] for kind in together}, paths)
        made = [kind for kind in together if kind not in failed]
        error = failed.pop(job.member, error)
        for kind, why in failed.items():
            job.log.debug(f"the {kind} dump is left to its own job: {why}")
        spent, began = processor_time() - began, processor_time()
        turn.stage([parts[kind] for kind in made if kind != job.member], made, spent)
    if error is not None:
        raise error


def _recorded(
    kind: str, shown: Shown, config: Mapping[str, Any], read: Mapping[str, Path]
) -> TensorFile | Watched:
    """What a recorder keeps: given what its USES names, and the paths that its BESIDE names."""
    declared = registry.declarations("dumps", kind)
    uses = [*declared.get("USES", ()), *(["conditions"] if "CONDITIONS" in declared else [])]
    settings = {key: config[key] for key in uses}
    settings |= {name: read.get(name) for name in declared.get("BESIDE", ())}
    found: TensorFile | Watched = registry.load("dumps", kind).record(shown, **settings)
    return found


def _planned(shown: Shown, dataset: Path, turn: Turn) -> Iterator[tuple[Part, Watched]]:
    """Other kinds of the same pass.

    What stands in the way of one is left to its own job, which says what it is.
    """
    for part in turn.others():
        with contextlib.suppress(SightlinesError):
            splits = open_splits(Path(*part.inputs["splits"]), dataset)
            config = with_execution(json.loads(part.config))
            read = {name: Path(*paths) for name, paths in part.inputs.items()}
            own = dataclasses.replace(shown, splits=splits)
            watched = _recorded(part.kind, own, config, read)
            if isinstance(watched, Watched) and not changed_since(part.code):
                yield part, watched


def _write(job: Job, content: TensorFile) -> None:
    _say_size(job, content)
    path = job.output("dump")
    write_tensor_file(path, content, _named(job.member, path))


def _say_size(job: Job, content: TensorFile | Watched) -> None:
    size = safetensors_bytes(content.shapes, content.meta)
    job.log.info(f"{len(content.shapes)} tensors, {size / 1e6:.1f} MB")


def _named(kind: str, path: Path) -> str:
    return f"the {kind.replace('_', ' ')} dump {path}"


class _Writing:
    """The files of some kinds, each whole or absent, whatever becomes of the others.

    Attributes:
        failed: Why there is no file of a kind.
    """

    def __init__(self, every: contextlib.ExitStack) -> None:
        self.failed: dict[str, Exception] = {}
        self._every = every
        self._open: dict[str, tuple[contextlib.ExitStack, TensorWriter]] = {}

    def open(self, kind: str, path: Path, watched: Watched) -> None:
        """Begin a file, where there is room for it."""
        with self._noting(kind):
            size = safetensors_bytes(watched.shapes, watched.meta)
            require_free_space(path.parent, size, _named(kind, path))
            own = self._every.enter_context(contextlib.ExitStack())
            writer = own.enter_context(TensorWriter(path, watched.shapes, watched.meta))
            self._open[kind] = own, writer

    def write(self, kind: str, found: Mapping[str, Any] | Exception) -> None:
        """Write what comes next, or end a file of which nothing will be."""
        if kind in self.failed:
            return
        own, writer = self._open[kind]
        try:
            if isinstance(found, Exception):
                raise found
            for name, array in found.items():
                writer.write(name, array)
        except Exception as error:
            with self._noting(kind):  # a full disk is told here by its own name
                if not own.__exit__(type(error), error, error.__traceback__):
                    raise

    def close(self) -> None:
        """End the files that are complete."""
        for kind, (own, _) in self._open.items():
            with self._noting(kind):
                own.close()

    @contextlib.contextmanager
    def _noting(self, kind: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failed[kind] = error


def _write_together(
    shown: Shown, kinds: Mapping[str, Watched], paths: Mapping[str, Path]
) -> dict[str, Exception]:
    """Write the files of some kinds while a network runs; why there is none of a kind."""
    with contextlib.ExitStack() as every:
        writing = _Writing(every)
        for kind, watched in kinds.items():
            writing.open(kind, paths[kind], watched)
        running = {kind: kinds[kind] for kind in kinds if kind not in writing.failed}
        for kind, found in record_together(shown, running):
            writing.write(kind, found)
        writing.close()
    return writing.failed
