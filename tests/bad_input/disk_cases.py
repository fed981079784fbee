"""Disks that are full and folders that cannot be written."""

import builtins
import contextlib
import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

from sightlines.core import files
from sightlines.core.errors import DiskError, TrainingError
from sightlines.core.files import write_json
from sightlines.datasets import imagefolder, prepare
from sightlines.run import measure
from sightlines.training import state
from tests.bad_input.catalogue import case, job
from tests.bad_input.file_cases import compared, dumped, trained
from tests.bad_input.image_cases import SETTINGS, folder
from tests.measures.predicting import make_predictions

CARD = {"steps": 3, "parameters": 11}
AGAIN = ("free some space", "permissions", "run the same command again")
FULL = "No space left on device"


def gathered(here: Path, table: Path):
    """The measure `accuracy` into `table`, whose folder may be impossible."""
    card = here / "vit" / "f100" / "s0" / "card.json"
    write_json(card, CARD)
    make_predictions(here / "predictions.safetensors")
    inputs = {"predictions": here / "predictions.safetensors", "card.json": card}
    config = {"networks": ["vit/f100/s0"]}
    return job(measure.main, config, inputs, {"accuracy": table}, earlier=False, member="accuracy")


def broken(monkeypatch, owner, name, number, when=lambda *_: True):
    """Let a call of the operating system fail as it does on a full or read-only disk."""
    honest = getattr(owner, name)

    def fails(*arguments, **named):
        if when(*arguments):
            raise OSError(number, os.strerror(number))
        return honest(*arguments, **named)

    monkeypatch.setattr(owner, name, fails)


@case("disk", DiskError, ("{here}/results/accuracy.csv", "{here}/results is a file"), AGAIN)
def results_folder_that_is_a_file(here):
    (here / "results").write_text("a file")
    return gathered(here, here / "results" / "accuracy.csv")


@case("disk", DiskError, ("{here}/tables/layers.csv", "Read-only file system"), AGAIN)
def results_folder_that_is_read_only(here, monkeypatch):
    command = compared(here)

    def is_part(path, *_):
        return str(path).endswith(".part")

    broken(monkeypatch, builtins, "open", errno.EROFS, is_part)
    return command


@case("disk", DiskError, ("{here}/dump.safetensors", FULL), AGAIN)
def disk_that_fills_up_under_a_dump(here, monkeypatch):
    command = dumped(here)
    broken(monkeypatch, os, "fsync", errno.ENOSPC)
    return command


@case("disk", DiskError, ("{here}/dump.safetensors", FULL), AGAIN)
def disk_that_fills_up_under_the_rows_of_a_dump(here, monkeypatch):
    command = dumped(here, kind="features")
    broken(monkeypatch, files.TensorWriter, "write", errno.ENOSPC)
    return command


Usage = namedtuple("Usage", "total used free")


@case(
    "disk",
    DiskError,
    ("gram", "{here}/dump.safetensors", "needs 0 MB", "disk of {here}", "0 MB free"),
    ("free some space", "shrink the dump in the config"),
)
def disk_too_small_for_a_dump(here, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 10**6, 100))
    return dumped(here)


@case(
    "disk",
    DiskError,
    ("{here}/data/manifest.parquet", FULL),
    AGAIN,
    lost=("data/dataset.json",),
)
def disk_that_fills_up_under_a_dataset(here, monkeypatch):
    folder(here, "cat", "dog")
    source = here / "sources"
    config = {"dataset": SETTINGS, "source": imagefolder.fingerprint(SETTINGS, source)}
    files = [here / "data" / name for name in imagefolder.FILES]
    broken(monkeypatch, os, "fsync", errno.ENOSPC)
    return job(prepare.main, config, {}, {"files": files}, source)


@case("disk", DiskError, ("{here}/data:", "{here}/data is a file"), AGAIN)
def data_folder_that_is_a_file(here):
    folder(here, "cat", "dog")
    (here / "data").write_text("a file")
    source = here / "sources"
    config = {"dataset": SETTINGS, "source": imagefolder.fingerprint(SETTINGS, source)}
    files = [here / "data" / name for name in imagefolder.FILES]
    return job(prepare.main, config, {}, {"files": files}, source, earlier=False)


@case(
    "disk",
    TrainingError,
    ("process {pid}", ".cache/sightlines/training/{state}/lock"),
    ("wait", "kill {pid}", "run the same command again"),
)
def network_that_another_process_trains(here, monkeypatch):
    command = trained(here)
    honest = state.StateFolder.owned

    @contextlib.contextmanager
    def owned_twice(self):
        with honest(self), honest(self, patience_s=0.0):
            yield

    monkeypatch.setattr(state.StateFolder, "owned", owned_twice)
    return command
