"""Which output of a network stands for which class of the images, and how that is known.

Readers of image folders number the classes by their names, and not all in the same order:
torchvision's `ImageFolder` sorts them as text (0, 1, 10, 2), timm's reader by the numbers in them
and without regard to case (0, 1, 2, 10). A network's outputs are in the order of the reader that
trained it, and the weights do not say which one that was. Where the two orders differ for a folder
and the config does not decide, no order is taken.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sightlines.models.timm_names import readable_names
from sightlines.training.class_file import name_key

TIMM_ENDINGS = frozenset((".png", ".jpg", ".jpeg"))
"""Endings of the images that timm's reader of folders sees; it passes over all others."""
UNDECIDED = "undecided"
"""Where readers of folders number the classes differently and the config does not decide."""
UNKNOWN = "none"
BOTH = "torchvision and timm"
SHOWN = 5
"""Classes that a message names, at most."""


@dataclass(frozen=True)
class ClassOrder:
    """The outputs of a network that stand for the classes of the images.

    Attributes:
        outputs: One for each class; empty where they are not known, so that there is no accuracy.
        taken: The order: ``names``, ``torchvision``, ``timm``, ``torchvision and timm`` (which
            agree), ``dataset`` (the dataset's own labels) or ``file``; ``undecided`` where
            torchvision and timm disagree and nothing decides; ``none`` where classes and outputs
            do not match.
        note: How that is known, or why it is not and what to set.
    """

    outputs: list[int]
    taken: str
    note: str

    def name_outputs(self, outputs: Sequence[str], classes: Sequence[str]) -> list[str]:
        """Names of a network's outputs; those without one get that of the class they stand for."""
        names = list(outputs)
        if _are_numbers(outputs):
            for name, place in zip(classes, self.outputs, strict=False):
                names[place] = name
        return names


def find_order(
    classes: Sequence[str],
    outputs: Sequence[str],
    wanted: str = "auto",
    listed: Sequence[str] | None = None,
    seen_by_timm: Collection[str] | None = None,
    is_folder: bool = True,
) -> ClassOrder:
    """Find the output that stands for each class.

    Args:
        classes: The images' class names, in the order of their labels.
        outputs: The network's: WordNet ids, or the numbers from 0 where they have no names.
        wanted: The config's `class_order`.
        listed: Names of the outputs in order, out of the config's `class_file`.
        seen_by_timm: Classes with an image that timm's reader sees; None: all of them.
        is_folder: Whether the classes are folders, which readers number by name.
    """
    if not classes or not outputs:
        return _none("the images have no classes" if not classes else "it has no last layer")
    if listed is not None:
        return _by_file(classes, listed)
    named = by_names(classes, outputs)
    if wanted == "names" or (wanted == "auto" and named):
        note = "output names are WordNet ids, and the classes are named by them or in words"
        return ClassOrder(named, "names", note) if named else _unnamed(classes, outputs)
    if len(classes) != len(outputs) or (wanted == "auto" and not _are_numbers(outputs)):
        return _none(
            f"the images have {len(classes)} classes and the network {len(outputs)} outputs, and "
            "their names do not match: list the outputs' names in a class_file"
        )
    if wanted == "auto" and not is_folder:
        return ClassOrder([*range(len(classes))], "dataset", "outputs are in the labels' order")
    return _by_reader(classes, wanted, seen_by_timm)


def by_names(classes: Sequence[str], outputs: Sequence[str]) -> list[int]:
    """The output that has the name of each class; empty where one has none or several.

    Args:
        classes: WordNet ids, or what WordNet calls them, any case, underscores for blanks.
        outputs: WordNet ids; numbers are no names.
    """
    if _are_numbers(outputs):
        return []
    place = {name: index for index, name in enumerate(outputs)}
    if all(name in place for name in classes):
        return [place[name] for name in classes]
    called: dict[str, list[int]] = {}
    for synset, words in readable_names().items():
        for word in words if synset in place else ():
            called.setdefault(_plain(word), []).append(place[synset])
    found = [called.get(_plain(name), []) for name in classes]
    if all(len(places) == 1 for places in found) and len({p for p, *_ in found}) == len(found):
        return [places[0] for places in found]
    return []


def torchvision_order(classes: Collection[str]) -> list[str]:
    """Class names in the order of torchvision's `ImageFolder`: sorted as text."""
    return sorted(classes)


def timm_order(classes: Collection[str]) -> list[str]:
    """Class names in the order of timm's reader of folders: by numbers, and without case.

    Names that it takes for equal, such as ``1`` and ``01``, stand beside each other; in which order
    timm has them changes from one process to the next.
    """
    return sorted(sorted(classes), key=natural_key)


def natural_key(name: str) -> list[int | str]:
    """What timm sorts names by: text in small letters and whole numbers, in turn."""
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _by_file(classes: Sequence[str], listed: Sequence[str]) -> ClassOrder:
    place = {name: index for index, name in enumerate(listed)}
    missing = [name for name in classes if name_key(name) not in place]
    if missing:
        return _none(
            f"class_file does not name {_shown(missing)}: write the folders' names into it"
        )
    found = [place[name_key(name)] for name in classes]
    return ClassOrder(found, "file", "outputs have the names that class_file gives them")


def _by_reader(
    classes: Sequence[str], wanted: str, seen_by_timm: Collection[str] | None
) -> ClassOrder:
    """The order of torchvision or timm; the one on which both agree where none is asked for."""
    text = torchvision_order(classes)
    as_text = [text.index(name) for name in classes]
    if wanted == "torchvision":
        note = f"as the config says, sorted as text: {_shown(text)}"
        return ClassOrder(as_text, "torchvision", note)
    natural = timm_order(classes)
    doubt = _doubt(natural, seen_by_timm)
    if wanted == "timm":
        if doubt:
            return ClassOrder([], UNDECIDED, f"{doubt}: list the outputs' names in a class_file")
        note = f"as the config says, sorted by numbers and without case: {_shown(natural)}"
        return ClassOrder([natural.index(name) for name in classes], "timm", note)
    if text == natural and not doubt:
        return ClassOrder(as_text, BOTH, f"torchvision and timm agree on it: {_shown(text)}")
    differs = f"torchvision sorts them {_shown(text)}, timm {_shown(natural)}"
    return ClassOrder(
        [],
        UNDECIDED,
        f"outputs have no names, and {doubt or differs}: set class_order to torchvision or timm, "
        "whichever trained the network, or list the outputs' names in a class_file",
    )


def _doubt(natural: Sequence[str], seen: Collection[str] | None) -> str:
    """Why timm's numbering of the classes is not certain; empty where it is.

    Where timm sees no image at all, the network was trained on other copies of them.
    """
    alike = [a for a, b in pairwise(natural) if natural_key(a) == natural_key(b)]
    if alike:
        both = [name for name in natural if natural_key(name) == natural_key(alike[0])]
        return f"timm's order of {_shown(both)} is by chance"
    unseen = [name for name in natural if seen and name not in seen]
    if unseen:
        endings = ", ".join(sorted(TIMM_ENDINGS))
        return f"timm gives {_shown(unseen)} no number, for want of an image in {endings}"
    return ""


def _unnamed(classes: Sequence[str], outputs: Sequence[str]) -> ClassOrder:
    if _are_numbers(outputs):
        return _none(
            "class_order is names, but the outputs have none: set it to torchvision or timm, or "
            "list the outputs' names in a class_file"
        )
    place = {*outputs}
    odd = [name for name in classes if name not in place and not by_names([name], outputs)]
    return _none(
        f"no single output has the name of {_shown(odd or classes)}: name the folders by WordNet "
        "id, or list the outputs' names in a class_file"
    )


def _none(note: str) -> ClassOrder:
    return ClassOrder([], UNKNOWN, note)


def _are_numbers(outputs: Sequence[str]) -> bool:
    """Whether outputs have no names: see `timm_names.class_names`."""
    return list(outputs) == [str(index) for index in range(len(outputs))]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + ", …" * (len(names) > SHOWN)


def _plain(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip().lower()
