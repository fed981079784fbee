"""What a case of bad input is, and how the modules beside this one add theirs.

A case lays files out in an empty folder, damages something, and returns the command that a user
would run next. The harness then holds four things against it: the error's class; that the error
names the offender (file, key, value); that it says the cure (a key, a command, a value that works);
and that not one file of the folder is new, gone or changed. The words around these are free: an
error may be reworded, but it may lose none of them.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sightlines.core.errors import SightlinesError
from tests.making_jobs import listed, make_job

Command = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One kind of bad input.

    Attributes:
        group: schema, config, archives, images, files or disk.
        name: The test's name.
        error: The exact class.
        names: What the error must name: files, keys, values. {here} stands for the folder.
        cure: What it must say to do. Looked for in what is left when each of `names` was taken out
            once, so that a key which is named as the offender does not pass for the cure.
        lines: Each indented line of the error, by what it must name and its cure; none has more.
        arrange: Lays the files out in a folder and returns the command.
        lost: Names of files that the command may remove (a dataset's `dataset.json`, which goes
            before its arrays are replaced).
    """

    group: str
    name: str
    error: type[SightlinesError]
    names: tuple[str, ...]
    cure: tuple[str, ...]
    lines: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    arrange: Callable[..., Command]
    lost: tuple[str, ...] = ()


CASES: list[Case] = []


def case(group, error, names, cure, lines=(), lost=()):
    """Add the decorated function to the catalogue, under its own name.

    `names`, `cure` and the two of each line are a word each, or several.
    """

    def add(arrange):
        name = arrange.__name__.strip("_").replace("_", " ")
        of_lines = tuple((_words(named), _words(cured)) for named, cured in lines)
        CASES.append(Case(group, name, error, _words(names), _words(cure), of_lines, arrange, lost))
        return arrange

    return add


def lost_words(case: Case, said: str) -> list[str]:
    """What the error no longer says of what the case asks for; nothing where it says all."""
    head, *listed = re.split(r"\n  (?=\S)", said)
    if not case.lines:  # one piece of text, in how many lines ever
        return lost_in(said, case.names, case.cure)
    *_, last = ["", *listed]
    if "\n" in last:
        listed[-1], _, last = last.rpartition("\n")
        head = f"{head}\n{last}"
    if len(listed) != len(case.lines):
        return [f"{len(listed)} lines instead of {len(case.lines)}: {listed}"]
    found = lost_in(head, case.names, case.cure)
    for line, (names, cure) in zip(listed, case.lines, strict=True):
        found += lost_in(line, names, cure)
    return found


def lost_in(said: str, names: Iterable[str], cure: Iterable[str]) -> list[str]:
    """Names and cures that a text lacks, a cure also where it stands as the name alone."""
    lost, said = [], said.casefold()
    # A path before the folder that it begins with.
    for word in sorted(names, key=len, reverse=True):
        if word.casefold() not in said:
            lost.append(word)
        said = said.replace(word.casefold(), "…", 1)
    return lost + [word for word in cure if word.casefold() not in said]


def _words(words: str | Iterable[str]) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


def job(main, config, inputs, outputs, source=Path("sources"), earlier=True, member=""):
    """The command `main` on these files; an earlier result lies where each output will."""
    for path in (p for paths in listed(outputs).values() for p in paths if earlier):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(b"an earlier result")
    return lambda: main(make_job(config, inputs, outputs, source, member=member))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, also hidden ones; logs and caches apart."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {".cache", "logs"} & set(path.relative_to(folder).parts)
    }
