"""The one reader of YAML: what two readers would understand differently is refused.

Snakemake reads YAML 1.1 (PyYAML) and DVC YAML 1.2 (ruamel.yaml): `seed: 010` is 8 to one and 10 to
the other. And a key that stands twice is taken the second time by one and is an error to the other.
Values in quotes are text to both.
"""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from sightlines.core.errors import ConfigError

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LARGEST = 1_000_000
"""Values of one file, those that aliases repeat included."""
TAG = "tag:yaml.org,2002:"
CONFLICT = re.compile(r"^(<{7,}|>{7,}) ", re.MULTILINE)
"""How git begins and ends what it could not merge."""
CORE: tuple[tuple[str, Callable[[str], Any]], ...] = (
    (r"null|Null|NULL|~|", lambda _: None),
    (r"true|True|TRUE", lambda _: True),
    (r"false|False|FALSE", lambda _: False),
    (r"[-+]?[0-9]+", int),
    (r"0o[0-7]+", lambda text: int(text[2:], 8)),
    (r"0x[0-9a-fA-F]+", lambda text: int(text[2:], 16)),
    (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
    (r"[-+]?\.(inf|Inf|INF)", lambda text: float(text.replace(".", ""))),
    (r"\.(nan|NaN|NAN)", lambda _: math.nan),
)
"""The core schema of YAML 1.2: form of an unquoted value -> its value; the first that fits."""
RUAMEL_NUMBER = re.compile(
    r"(?=[-+.0-9])[-+]?(0b[01_]+|0o?[0-7_]+|[0-9_]+|0x[0-9a-fA-F_]+"
    r"|[0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.[0-9_]+([eE][-+][0-9]+)?)"
)
"""What ruamel.yaml takes for a number besides: underscores and signs of its own."""


def read(path: Path, is_strict: bool = True) -> Any:
    """Read a YAML file.

    Args:
        path: The file.
        is_strict: As for `parse`.

    Raises:
        OSError: there is none, or it cannot be read.
        ConfigError: see `parse`; or it is not text in UTF-8.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    return parse(text, str(path), is_strict)


def parse(text: str, where: str, is_strict: bool = True) -> Any:
    """Read YAML that is in memory.

    Args:
        text: The YAML.
        where: How errors call it.
        is_strict: Also refuse unquoted values that YAML 1.1 and 1.2 read differently. Not for files
            that DVC writes: it puts those in quotes that YAML 1.2 alone would mistake.

    Raises:
        ConfigError: it is not YAML, a key stands twice in one place, or YAML 1.1 and 1.2 differ
            about a value. All such places are named. Or git left a conflict in it.
    """
    if CONFLICT.search(text):
        raise ConfigError(
            f"{where} has merge conflicts: keep of each the lines that are right, without those of "
            "<<<<<<<, ======= and >>>>>>>; or one side, by git checkout --ours or --theirs"
        )
    try:
        loader = LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if offences := _Look(loader, where, is_strict).at(node):
                raise ConfigError("\n".join(offences))
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{where} is not read: its values lie too deep in each other") from error


class _Look:
    """One walk over the nodes of a document, each of them once."""

    def __init__(self, loader: Any, where: str, is_strict: bool) -> None:
        self._loader, self._where, self._is_strict = loader, where, is_strict
        # Of each node, with what its aliases repeat; 0 while it is being looked at.
        self._sizes: dict[int, int] = {}
        self._offences: list[tuple[int, str]] = []

    def at(self, node: Any) -> list[str]:
        """What is wrong below a node, in the order of its lines."""
        if self._visit(node, "") > LARGEST:
            raise ConfigError(f"{self._where} is not read: its aliases repeat too many values")
        return [f"{self._where}, line {line}: {text}" for line, text in sorted(self._offences)]

    def _visit(self, node: Any, place: str) -> int:
        known = self._sizes.get(id(node))
        if known == 0:
            raise ConfigError(f"{self._where}: {place or 'the file'} is an alias of itself")
        if known is not None:
            return known
        self._sizes[id(node)] = 0
        self._refuse_tag(node, place)
        size = 1
        if isinstance(node, yaml.ScalarNode):
            self._look_at_value(node, place)
        elif isinstance(node, yaml.SequenceNode):
            items = ((f"{place}.{i}".lstrip("."), item) for i, item in enumerate(node.value))
            size += sum(self._visit(item, name) for name, item in items)
        else:
            self._look_at_keys(node, place)
            below = ((f"{place}.{k.value}".lstrip("."), k, v) for k, v in node.value)
            size += sum(self._visit(k, name) + self._visit(v, name) for name, k, v in below)
        self._sizes[id(node)] = size
        return size

    def _say(self, node: Any, text: str) -> None:
        self._offences.append((node.start_mark.line + 1, text))

    def _refuse_tag(self, node: Any, place: str) -> None:
        implicit = (not getattr(node, "style", None), True)
        usual = self._loader.resolve(type(node), node.value, implicit)
        if node.tag != usual:
            tag = node.tag.replace(TAG, "!!")
            raise ConfigError(
                f"{self._where}, line {node.start_mark.line + 1}: {place or 'the file'} has the "
                f"tag {tag}, which is not YAML of plain values: write it without the tag"
            )

    def _look_at_keys(self, node: Any, place: str) -> None:
        first: dict[Any, int] = {}
        for key, _ in node.value:
            name = f"{place}.{key.value}".lstrip(".") if isinstance(key.value, str) else place
            line = key.start_mark.line + 1
            is_merge = key.tag == f"{TAG}merge"
            value = key.value if is_merge else self._loader.construct_object(key, deep=True)
            if not isinstance(value, str | int | float | bool | None):
                self._say(key, f"{place or 'the file'} has a key that is no plain word")
            elif value in first:
                self._say(
                    key,
                    f"key {name!r} stands here again, after line {first[value]}, whose value would "
                    "be lost: make one of the two, or give one another name",
                )
            else:
                first[value] = line

    def _look_at_value(self, node: Any, place: str) -> None:
        text = node.value
        if node.tag == f"{TAG}value":  # PyYAML has no value for it
            self._say(node, f"{place or 'the file'}: write '=' in quotes")
        if node.style or not self._is_strict or node.tag in (f"{TAG}merge", f"{TAG}value"):
            return
        old, new = self._loader.construct_object(node), core_value(text)
        told = [_told(old), _told(new)]
        if _are_same(old, new):
            if not (isinstance(new, str) and RUAMEL_NUMBER.fullmatch(text)):
                return
            told[1] = "a number"
        forms = dict.fromkeys([*_plain(old), *_plain(new), f"{_quoted(text)} for the text"])
        self._say(
            node,
            f"{place or 'the file'}: {text} is {told[0]} to some readers of YAML and {told[1]} to "
            f"others: write {' or '.join(forms)}",
        )


def core_value(text: str) -> Any:
    """What an unquoted value is in YAML 1.2."""
    for form, value in CORE:
        if re.fullmatch(form, text):
            return value(text)
    return text


def _are_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and (one == other or one != one)


def _plain(value: Any) -> Iterator[str]:
    """How a value is written so that every reader understands it; nothing for text and dates."""
    if isinstance(value, bool | int):
        yield str(value).lower()
    elif isinstance(value, float):
        yield number(value)


def number(value: float) -> str:
    """A float as every reader of YAML understands it: with a point, and a sign in its exponent."""
    mantissa, e, exponent = repr(value).partition("e")
    return f"{mantissa}{'' if '.' in mantissa or not e else '.0'}{e}{exponent}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _told(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    return next(_plain(value), "a date")
