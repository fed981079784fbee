"""What all scores of predictions start from: the answers to the images of one subset."""

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64

from sightlines.core.errors import ResultError
from sightlines.core.files import read_json, write_table
from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.jobs.command import Job
from sightlines.plan.networks import Network
from sightlines.stats.classification import Answers, judge

NO_CLASS = -1
"""Taken for an output that stands for none of the images' classes."""


class Scored(NamedTuple):
    """A network's answers to the images of a subset.

    Attributes:
        labels: Class of each image.
        answers: What the network answers; outputs by their own numbers.
        taken: The class that each image is taken for, or NO_CLASS.
    """

    labels: Int64[np.ndarray, " images"]
    answers: Answers
    taken: Int64[np.ndarray, " images"]

    @property
    def is_right(self) -> Bool[np.ndarray, " images"]:
        """Whether the most probable of all outputs is the right one."""
        return self.answers.rank == 0

    @property
    def accuracy(self) -> float:
        """Share of images that are got right."""
        return self.within(1)

    def within(self, places: int) -> float:
        """Share of images whose right output is among the most probable `places`."""
        return int((self.answers.rank < places).sum()) / len(self.labels)


def score(dump: PredictionsDump, subset: str) -> Scored:
    """Hold what a network answers against the images' classes.

    Args:
        dump: Of a network of which it is known which outputs stand for the classes.
        subset: test, validation or train.

    Raises:
        ResultError: the dump is damaged.
    """
    labels = dump.labels(subset)
    parts, done = [], 0
    for logits in dump.logits(subset):
        parts.append(judge(logits, dump.answers[labels[done : done + len(logits)]]))
        done += len(logits)
    answers = Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    meaning = np.full(dump.outputs, NO_CLASS)
    meaning[dump.answers] = np.arange(len(dump.answers))
    return Scored(labels, answers, meaning[answers.taken])


def run_measure(job: Job, module: ModuleType) -> None:
    """Run a measure of predictions: opens what it reads, and writes its tables.

    Raises:
        ResultError: an input is damaged, of another network, or lacks an entry.
    """
    declared: Any = module
    dumps = [PredictionsDump(path) for path in job.inputs["predictions"]]
    if (found := [dump.network.slug for dump in dumps]) != job.config["networks"]:
        raise ResultError(f"expected dumps of {job.config['networks']}, found {found}")
    arguments: dict[str, Any] = {"predictions": dumps}
    if "card.json" in declared.READS:
        arguments["card"] = {}
        for dump, path in zip(dumps, job.inputs["card.json"], strict=True):
            arguments["card"][dump.network] = _card(path, declared.ENTRIES["card.json"])
    for name, content in declared.measure(**arguments).items():
        parts = [content] if isinstance(content, pd.DataFrame) else list(content)
        columns = [c for own in declared.TABLES[name]["columns"] for c in _names(own)]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
        kept = [column for column in columns if column in table]
        write_table(job.output(Path(name).stem), table[kept])


def _names(column: Any) -> tuple[str, ...]:
    return (
        {"network": Network._fields}.get(column, (column,))
        if isinstance(column, str)
        else column[:1]
    )


def _card(path: Path, entries: tuple[str, ...]) -> Any:
    card = read_json(path)
    missing = [name for name in entries if not isinstance(card, dict) or name not in card]
    if missing:
        raise ResultError(
            f"{path} lacks {', '.join(missing)}. "
            "Delete its folder and run snakemake again to train the network anew."
        )
    return card
