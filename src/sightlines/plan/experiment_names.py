"""Names of experiments: a config file's name is the folder of its results, a stage of DVC, a word.

One grammar for all of these, held wherever a name comes in: letters and digits of any script, and
`_ - . + = ,`; the first one a letter, a digit or `_`.
"""

import shlex
import unicodedata
from pathlib import Path

from sightlines.core.errors import ConfigError

ENDINGS = (".yaml", ".yml")
MARKS = "_-.+=,"
REFERENCE = "reference"
"""Folder of `results/` with what experiments gave their authors: the name of no experiment."""
LONGEST = 200
"""Bytes of a name: files are called after it, with endings of their own."""


def name_of(config: Path) -> str:
    """The experiment of a config file.

    Raises:
        ConfigError: the name cannot be one, or a file beside it has the same, with `.yml`.
    """
    config = Path(config)
    require_name(config.stem, config)
    twins = [path for end in ENDINGS if (path := config.with_suffix(end)).is_file()]
    if config.suffix in ENDINGS and len(twins) > 1:
        raise ConfigError(
            f"{twins[0]} and {twins[1]} are two config files of one experiment, {config.stem}: "
            "rename or delete one of them"
        )
    return config.stem


def named(word: str) -> str:
    """The experiment that a word on a command line means: its name, or the path of its config.

    Raises:
        ConfigError: there can be none of that name.
    """
    if "/" in word or word.endswith(ENDINGS):
        return name_of(Path(word))
    require_name(word)
    return word


def config_of(name: str, folder: Path) -> Path:
    """Where the config file of an experiment lies, or would lie.

    Args:
        name: The experiment's.
        folder: Of config files.

    Raises:
        ConfigError: there can be no experiment of that name, or there are two files.
    """
    require_name(name)
    paths = [path for end in ENDINGS if (path := folder / f"{name}{end}").is_file()]
    path = paths[0] if paths else folder / f"{name}{ENDINGS[0]}"
    name_of(path)
    return path


def require_name(name: str, config: Path | None = None) -> None:
    """Check a name.

    Args:
        name: The experiment's.
        config: Its config file, where it is known: errors then say how to rename it.

    Raises:
        ConfigError: says what is wrong with it, and a name that is like it and can be one.
    """
    odd = dict.fromkeys(c for c in name if not _fits(c))
    if odd:
        reason = f"it has {', '.join(map(_shown, odd))}"
    elif not name or not _begins(name[0]):
        reason = f"it begins with {_shown(name[0])}" if name else "it is empty"
    elif name == REFERENCE:
        reason = "its results would lie among the reference results"
    elif len(name.encode(errors="replace")) > LONGEST:
        reason = f"it is longer than {LONGEST} bytes"
    else:
        return
    other = _like(name)
    cure = f"call it {other}"
    if config:
        words = [str(config), str(config.with_name(other + config.suffix))]
        cure = f"rename the file: mv {shlex.join(['--', *words])}"
    raise ConfigError(
        f"{str(config or name)!r} cannot be an experiment: {reason}. Its name may hold letters, "
        f"digits and the marks {MARKS} and begins with a letter, a digit or _: {cure}"
    )


def _fits(character: str) -> bool:
    return character in MARKS or unicodedata.category(character)[0] in "LMN"


def _begins(character: str) -> bool:
    return character == "_" or unicodedata.category(character)[0] in "LN"


def _shown(character: str) -> str:
    if character.isspace():
        return "a blank" if character == " " else f"the blank {character!r}"
    return ascii(character) if not character.isprintable() else f"{character!r}"


def _like(name: str) -> str:
    plain = "".join(c if _fits(c) else "_" for c in name)
    while plain and not _begins(plain[0]):
        plain = plain[1:]
    while len(plain.encode(errors="replace")) > LONGEST:
        plain = plain[:-1]
    plain = plain.strip("_") or "experiment"
    return f"my_{plain}" if plain == REFERENCE else plain
