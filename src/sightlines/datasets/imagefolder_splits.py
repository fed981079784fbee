"""Tells by their names which folders divide photographs into train, val and test.

`train` with `val`, with `test`, or with both, in any case and in the other names that are usual. Of
both val serves as the test images unless `test_folder` says otherwise: published test folders often
have no labels, published accuracies are on val, and a test folder that is added changes no result.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""What each part is called; ``_set`` may follow."""


@dataclass(frozen=True)
class Division:
    """How folders divide photographs.

    Attributes:
        folders: Folder of the ``train`` and of the ``test`` images.
        unused: Folders of a further part, that are not read.
        offences: What is wrong, one line each.
    """

    folders: dict[str, str]
    unused: list[str] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)


def part_of(name: str) -> str:
    """``train``, ``val`` or ``test`` for a folder that is named so; else empty."""
    plain = re.sub(r"[-_ ]*set$", "", name.casefold())
    return next((part for part, names in NAMES.items() if plain in names), "")


def find_division(
    folders: Sequence[str], has_folders: Callable[[str], bool], test_folder: str = ""
) -> Division | None:
    """How the folders beside each other divide photographs.

    Args:
        folders: Their names.
        has_folders: Whether a folder has folders in it.
        test_folder: ``val`` or ``test``: which serves as the test images; empty: whichever is
            there, of both val.

    Returns:
        None where they do not: each is then a class, also one that is called train.
    """
    parts = defaultdict(list)
    for name in folders:
        if part := part_of(name):
            parts[part].append(name)
    others = [name for name in folders if not part_of(name)]
    if "train" not in parts or len(parts) < 2:
        return None
    if others and not {"train", "val"} <= {*folders}:
        if not any(has_folders(name) for names in parts.values() for name in names):
            return None
    chosen = test_folder if test_folder in parts else "val" if "val" in parts else "test"
    division = Division({"train": parts["train"][0], "test": parts[chosen][0]})
    for part, names in parts.items():
        if part not in ("train", chosen):
            division.unused.extend(names)
        if len(names) > 1:
            named = " and ".join(map(repr, names))
            division.offences.append(f"{named}: folders for one part, {part}: keep one of them")
    beside = " and ".join(division.folders.values())
    division.offences.extend(
        f"{name}: a folder beside {beside}: move it elsewhere, or call it train, val or test"
        for name in others
    )
    if test_folder and chosen != test_folder:
        division.offences.append(
            f"{test_folder}: dataset.test_folder asks for it, but there is no folder of that name: "
            "leave the key out"
        )
    return division
