"""Which dumps an experiment has: kinds, whose networks, whose images, and where they lie.

A recorder's TRANSFER says what is recorded of other tasks besides the experiment's own dumps:
``shown``, the experiment's networks shown a task's images; ``tuned``, the networks trained further
on a task, shown the experiment's own images; ``tuned_shown``, those shown the task's images.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sightlines.plan import registry

TRANSFER_KINDS = {
    "transfer_features": "features",
    "other_gram": "gram",
    "tuned_gram": "gram",
    "tuned_attention": "attention",
    "tuned_predictions": "predictions",
    "foreign_confidences": "confidences",
}
"""What measures read of other tasks -> the kind of dump that it is: features on their images, Grams
on their images, and Grams, attention and outputs of the networks that were trained further on
them; and how sure networks are of the images of tasks out of the domain."""
DOSE_KINDS = {"tuned_conflicts": "conflicts", "tuned_corruptions": "corruptions"}
"""The same of tasks whose images differ in `texture_match` alone: what networks that were trained
further on them answer to the experiment's own cue conflicts and corrupted images."""
TASK_KINDS = TRANSFER_KINDS | DOSE_KINDS


class Recording(NamedTuple):
    """Dumps of one kind that one rule makes, one a network.

    Attributes:
        kind: The recorder.
        shown: Task whose images are shown; empty for the experiment's own.
        tuned: Task that the networks were trained further on; empty for the experiment's networks.
    """

    kind: str
    shown: str = ""
    tuned: str = ""

    @property
    def rule(self) -> str:
        """The rule's name."""
        shown = f"_of_{self.shown}" if self.shown else ""
        return f"dump_{self.kind}{shown}" + (f"_tuned_on_{self.tuned}" if self.tuned else "")

    @property
    def place(self) -> str:
        """Folder below the experiment's, without the network."""
        if not (self.shown or self.tuned):
            return f"dumps/{self.kind}"
        words = ("tuned_" if self.tuned else "") + ("shown_" if self.shown and self.tuned else "")
        return f"transfer/{self.shown or self.tuned}/{words}{self.kind}"

    @property
    def log(self) -> str:
        """Folder of its logs, below `logs/`."""
        return self.place.replace("dumps/", "dump/", 1)

    @property
    def splits(self) -> str:
        """The file of `data/` that says which images are shown."""
        declared: str = registry.declarations("dumps", self.kind)["SPLITS"]
        return f"{declared}.safetensors"


def recordings(tasks: Iterable[str]) -> list[Recording]:
    """All dumps of networks: of the experiment's own images first, then task after task."""
    kinds = registry.members("dumps")
    found = [Recording(kind) for kind in kinds]
    for task in tasks:
        words = {
            "shown": {"shown": task},
            "tuned": {"tuned": task},
            "tuned_shown": {"shown": task, "tuned": task},
        }
        for kind in kinds:
            declared = registry.declarations("dumps", kind).get("TRANSFER", ())
            found += [Recording(kind, **words[word]) for word in declared]
    return found
