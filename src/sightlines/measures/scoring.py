"""What all scores of predictions start from: the answers to the images of one subset."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from sightlines.dumps.predictions_reading import PredictionsDump
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
        return self.answers.rank == 0  # type: ignore[no-any-return]

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
