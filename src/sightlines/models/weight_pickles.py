"""What a torch file holds that is not read: told from its opcodes, of which none is carried out.

A torch file is a pickle, a program that builds objects; the tensors' numbers lie beside it. Where
it names more than tensors it is refused, and the message says what it names and how whoever made
the file can save its tensors alone.
"""

import pickletools
import zipfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

LARGEST = 1 << 24
"""Bytes of a pickle that are looked at, at most: 16 MiB of names and keys."""
PICKLES = 8
"""Pickles one after the other that are looked at, at most: files before zip archives hold five."""
PROTOCOL = b"\x80"
"""The first byte of a pickle of torch's."""
BESIDE = (
    *("argparse.Namespace", "types.SimpleNamespace"),
    *(
        f"{place}.{kind}Path"
        for place in ("pathlib", "pathlib._local")
        for kind in ("", "Pure", "Posix", "PurePosix", "Windows", "PureWindows")
    ),
    *(
        f"{place}.multiarray.{what}"
        for place in ("numpy.core", "numpy._core")
        for what in ("scalar", "_reconstruct")
    ),
    *("numpy.dtype", "numpy.ndarray"),
)
"""Options that training scripts keep beside weights: groups of values, paths, numbers and arrays
of numpy. A file with these is read and they are passed over: none is called."""
KEYS = (
    *("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema", "ema"),
    *("teacher", "student", "net", "network", "module", "weights", "params"),
)
"""Keys under which training scripts keep weights."""
OF_TENSORS = (
    *("torch._utils._rebuild_", "torch._tensor._rebuild_", "torch.serialization._get_layout"),
    *("torch.Size", "torch.device", "torch.nn.parameter.Parameter", "collections.OrderedDict"),
    *("collections.Counter", "_codecs.encode"),
)
"""Beginnings of names that tensors, texts and counts need."""


@dataclass(frozen=True)
class Held:
    """What a torch file names.

    Attributes:
        names: Classes and functions that tensors do not need, in the order in which they are named.
        key: The key under which the weights seem to lie; empty where they lie under none.
        is_network: Whether it is a whole network with its code's names.
        is_script: Whether it is a compiled network (TorchScript).
        is_whole: Whether all of it could be looked at.
    """

    names: list[str] = field(default_factory=list)
    key: str = ""
    is_network: bool = False
    is_script: bool = False
    is_whole: bool = True


def look(path: Path) -> Held:
    """What a torch file names; nothing of it is run."""
    try:
        if zipfile.is_zipfile(path):
            return _of_archive(path)
        with path.open("rb") as file:
            return _of_pickles(file)
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):  # damaged, or encrypted
        return Held(is_whole=False)


def _of_archive(path: Path) -> Held:
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
        if any(name.endswith("constants.pkl") for name in members):
            return Held(is_script=True)
        pickles = [name for name in members if name.endswith("data.pkl")]
        if not pickles:
            return Held(is_whole=False)
        with archive.open(pickles[0]) as file:
            words, end = _words(file.read(LARGEST))
    return _held(words, end > 0)


def _of_pickles(file: BinaryIO) -> Held:
    """Of a file before zip archives: pickles one after the other, then the numbers."""
    rest, found, is_whole = file.read(LARGEST), [], True
    for _ in range(PICKLES):
        words, end = _words(rest)
        found += words
        rest = rest[end:]
        if not end or rest[:1] != PROTOCOL:
            is_whole = end > 0
            break
    return _held(found, is_whole)


def _words(content: bytes) -> tuple[list[str], int]:
    """Classes and functions that a pickle names, as `module name`, and its texts, each quoted.

    And the place at which it ends; 0 where it is cut off or no pickle.
    """
    words: list[str] = []
    try:
        for word, place in _named(content):
            if word is None:
                return words, place + 1
            words.append(word)
    except ValueError:  # what pickletools says of anything that is no pickle
        pass
    return words, 0


def _named(content: bytes) -> Iterator[tuple[str | None, int]]:
    """Names and texts in a pickle, with their places; None at its end."""
    pushed: deque[Any] = deque((None, None), maxlen=2)
    memory: dict[int, Any] = {}
    for opcode, argument, place in pickletools.genops(content):
        name, at = opcode.name, place or 0
        if name in ("GLOBAL", "INST"):
            yield str(argument), at
            pushed.append(None)
        elif name == "STACK_GLOBAL":
            yield " ".join(map(str, pushed)), at
            pushed.append(None)
        elif name in ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"):
            memory[len(memory) if argument is None else int(argument)] = pushed[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            pushed.append(memory.get(int(argument or 0)))
        elif name == "STOP":
            yield None, at
        else:
            is_text = isinstance(argument, str) and "UNICODE" in name
            if is_text:
                yield repr(argument), at
            pushed.append(argument if is_text else None)


def _held(words: Sequence[str], is_whole: bool) -> Held:
    names = [word.replace(" ", ".") for word in words if word[0] not in "'\""]
    odd = [n for n in dict.fromkeys(names) if not _is_read(n)]
    key = next((key for key in KEYS if repr(key) in words), "")
    is_network = any(name.startswith("torch.nn.modules.") for name in names)
    return Held(odd, key, is_network, is_whole=is_whole)


def _is_read(name: str) -> bool:
    """Whether a file may name this and be read."""
    return name in BESIDE or name.startswith(OF_TENSORS) or _is_type(name)


def _is_type(name: str) -> bool:
    """Whether a name is one of torch's number formats or of their storages."""
    owner, _, own = name.rpartition(".")
    return owner == "torch" and (own.endswith("Storage") or own.islower())
