"""Weights in several files beside an index that says which tensor is in which (`*.index.json`).

The form of Hugging Face's libraries: ``{"weight_map": {"<tensor>": "<file>", …}}``. An index is
somebody else's file: it may name files beside itself and no others.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from sightlines.core.errors import MissingSourceError, WeightsError
from sightlines.core.file_hashes import UNREADABLE, hash_files
from sightlines.core.files import sha256

INDEX = ".index.json"
"""How the names of indices end."""
LARGEST = 1 << 26
"""Bytes of an index, at most: 64 MiB."""
NAMED = 3
"""Files that a message lists, at most."""


def is_index(name: str) -> bool:
    """Whether a file of weights is an index of others, by its name."""
    return name.endswith(INDEX)


def read_index(path: Path) -> dict[str, list[str]]:
    """The files that an index names, in order, with the tensors in each.

    Raises:
        WeightsError: it is missing, no such index, or names anything but files beside itself.
    """
    if not path.is_file():
        raise WeightsError(f"there is no index of weight files {path}: set `weights` to one")
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        tensors = {str(name): str(file) for name, file in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{path} is no index of weight files: it must be JSON with a weight_map, tensor by "
            f"tensor the name of a file beside it ({type(error).__name__}: {error})"
        ) from error
    odd = sorted({file for file in tensors.values() if not _is_plain(file)})
    if odd or not tensors:
        what = f"names {odd[0]!r}" if odd else "names no tensor"
        raise WeightsError(
            f"{path} {what}: an index may name safetensors or torch files that lie beside it, "
            "without a folder. Fetch it again, from whom you trust"
        )
    files: dict[str, list[str]] = {file: [] for file in sorted({*tensors.values()})}
    for name, file in tensors.items():
        files[file].append(name)
    return files


def _is_plain(file: str) -> bool:
    """Whether a text is the name of a file in the same folder, on any system."""
    is_alone = {PurePosixPath(file).name, PureWindowsPath(file).name} == {file}
    return is_alone and file not in ("", "..") and "\0" not in file and not is_index(file)


def identity(root: Path, name: str) -> str:
    """What tells weights from others: a file's SHA-256, or of an index that of it and its files.

    Args:
        root: data_root or SIGHTLINES_DATA; hashes below it are remembered.
        name: The file's path below it.

    Returns:
        The digest; UNREADABLE where a file is missing.

    Raises:
        WeightsError: an index is none.
    """
    if not is_index(name) or not (root / name).is_file():
        return hash_files(root, [name])[0]
    beside = _beside(name, read_index(root / name))
    found = hash_files(root, beside)
    return UNREADABLE if UNREADABLE in found else _joined(found)


def require_identity(root: Path, name: str, whose: str) -> str:
    """`identity`, of weights that are there.

    Args:
        root: data_root or SIGHTLINES_DATA.
        name: The file's path below it.
        whose: The network, for the message.

    Raises:
        MissingSourceError: a file is missing.
        WeightsError: an index is none.
    """
    found = identity(root, name)
    if found == UNREADABLE:
        raise MissingSourceError(
            f"there is no weight file {root / name}: set `weights` of {whose} to a file below "
            "data_root (or below SIGHTLINES_DATA), or random"
        )
    return found


def digest(root: Path, name: str) -> str:
    """The same, of the bytes as they are now; empty where a file is missing."""
    if not (root / name).is_file():
        return ""
    if not is_index(name):
        return sha256(root / name)
    paths = [root / path for path in _beside(name, read_index(root / name))]
    return _joined([sha256(path) for path in paths]) if all(p.is_file() for p in paths) else ""


def missing(root: Path, name: str) -> str:
    """Which files of an index are not there, in words; empty where it is no index, or all are."""
    if not is_index(name) or not (root / name).is_file():
        return ""
    beside = _beside(name, read_index(root / name))[1:]
    gone = [path for path in beside if not (root / path).is_file()]
    more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
    return f"of its {len(beside)} files {', '.join(gone[:NAMED])}{more} are missing" * bool(gone)


def _beside(name: str, files: Sequence[str] | dict[str, list[str]]) -> list[str]:
    """Paths of an index and of its files below the same root."""
    return [name, *(str(PurePosixPath(name).parent / file) for file in files)]


def _joined(hashes: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
