"""Reads a list of the names of a network's outputs, which comes from somebody else."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightlines.core.errors import WeightsError

MOST_BYTES = 10_000_000
"""Size of a list, at most."""


def read_class_file(path: Path) -> list[str]:
    """Names of a network's outputs in their order.

    A text file with one name a line; or JSON: a list, or an object from names to numbers or from
    numbers to names, which may lie under ``id2label``, ``label2id``, ``label_names``,
    ``class_to_idx`` or ``classes``.

    Raises:
        WeightsError: it is missing, too large, neither of them, or has a name twice.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _no_list(path, f"it has more than {MOST_BYTES} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _no_list(path, error.strerror or "it cannot be read") from error
    except UnicodeDecodeError as error:
        raise _no_list(path, "it is not UTF-8") from error
    names = _from_json(path, text) if path.suffix.lower() == ".json" else text.splitlines()
    names = [name_key(name) for name in names]
    while names and not names[-1]:
        names.pop()
    odd = next((name for name in names if not name.isprintable()), "")
    twice = next((name for name, count in Counter(names).items() if count > 1), "")
    if odd or twice:
        raise _no_list(path, f"{odd!r} is not printable" if odd else f"{twice!r} is there twice")
    if not names or "" in names:
        raise _no_list(path, "it has an empty line" if names else "it is empty")
    return names


def require_length(path: Path, listed: Sequence[str], outputs: int) -> None:
    """Check that a file names each output.

    Raises:
        WeightsError: it names more or fewer.
    """
    if len(listed) != outputs:
        raise WeightsError(
            f"{path} names {len(listed)} classes, but the network has {outputs} outputs: name each "
            "output once, or set `outputs`"
        )


def name_key(name: str) -> str:
    """Equal for one name that systems write in different code points."""
    return unicodedata.normalize("NFC", name).strip()


def _from_json(path: Path, text: str) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_list(path, "it is not JSON") from error
    for key in ("id2label", "label2id", "label_names", "class_to_idx", "classes"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping | list):
            found = found[key]
            break
    if isinstance(found, Mapping):
        found = _in_order(path, found)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise _no_list(path, "it holds no list of names")
    return found


def _in_order(path: Path, found: Mapping[str, Any]) -> list[Any]:
    """Names of an object from names to numbers, or from numbers to names."""
    if all(type(value) is int for value in found.values()):
        pairs = [(place, name) for name, place in found.items()]
    elif all(re.fullmatch(r"[0-9]{1,9}", key) for key in found):
        pairs = [(int(key), value) for key, value in found.items()]
    else:
        raise _no_list(path, "it holds neither numbers of names nor names of numbers")
    pairs.sort(key=lambda pair: pair[0])
    if [place for place, _ in pairs] != [*range(len(pairs))]:
        raise _no_list(path, "its numbers are not all those from 0")
    return [name for _, name in pairs]


def _no_list(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"{path} is no list of class names: {reason}. Set `class_file` to a text file with the "
        "name of one output a line, in their order, or to JSON with a list of them"
    )
