"""A digest of the code that a stage runs: of the definitions that it can reach, and no others.

A stage names its roots: ``sightlines.measures.cka:measure``, or a whole module. From there every
name is followed that stands for a definition of the package (`code_reading` says how those are
read). A class counts whole; a module counts whole where it is used as a value or looks at its own
names; and of each module that is loaded, the statements that do more than define something.
Snakemake compares the digest as a rule's parameter, so that an edited helper of a helper reruns the
stages that use it, and a corrected comment, error or progress message reruns nothing. The reasons
stand in docs/decisions/the_digests_reach.md.

Definitions are numbered in the order in which they are met, and names stand for these numbers, so
that a definition that moves to another module reruns nothing. The digest is the same on Pythons
3.11 and newer.
"""

import contextlib
import functools
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sightlines.core.file_hashes import SETTLED_NS
from sightlines.core.files import atomic, write_json
from sightlines.plan import code_reading, registry
from sightlines.plan.code_reading import LOAD, MEMBERS, NAMED, RAW, USE, is_frame, read_module
from sightlines.plan.registry import PACKAGE

ROOT = PACKAGE.parent
CACHE = Path(".cache/sightlines/code")
"""What the digests of earlier runs were made of, and what was read of each module."""
READ = "modules.json"
DIGESTS = "digests.json"
"""The digests of the package as it was read last: nothing is followed again until it changes."""
STAMPS = "stamps.json"
"""Which text the package's files have while their sizes and times stay as they are."""

_parts: dict[str, dict[str, Any]] = {}
_walks: dict[str, tuple[tuple[str, ...], "_Walk"]] = {}


class Node(NamedTuple):
    """Something that counts: a definition, or statements of a module.

    Attributes:
        kind: ``definition``; ``statements``, those that do more than define; ``module``, all that
            it defines; ``command``, that with what it does as a command; ``text``, all of it.
        module: Its full name.
        number: Of the definition.
    """

    kind: str
    module: str
    number: int = 0


class Reached(NamedTuple):
    """One definition that a digest covers.

    Attributes:
        module: Its full name.
        name: Of the definition; empty for statements that define nothing.
        first: Its first line, decorators included.
        last: Its last line.
    """

    module: str
    name: str
    first: int
    last: int


def code_digest(*roots: str) -> str:
    """Digest of all that the roots can reach.

    Args:
        roots: ``module:name`` for a function, a class or a constant; or ``module`` for all that
            is defined there.

    Raises:
        ModuleNotFoundError: a root's module is not part of the package.
        AttributeError: a root's module defines no such name.
    """
    return _digest(tuple(roots))


def stage_digest(stage: Sequence[str], roots: Callable[[], tuple[str, ...]]) -> str:
    """Digest of what a stage's roots can reach, remembered by the stage.

    Args:
        stage: Words from which, with the package's text, the roots follow.
        roots: Finds them; called where the digest is not remembered.
    """
    key = json.dumps(["stage", *stage])  # no root looks like this
    if not (known := _kept(key)):
        known = _found[key] = _digest(roots())
    return known


def _kept(key: str) -> str:
    """A digest that an earlier run found in this very text; empty without one."""
    known = _remembered().get(key, "")
    return known if known and (CACHE / f"{known}.json").is_file() else ""


@functools.cache
def _digest(roots: tuple[str, ...]) -> str:
    key = "\0".join(roots)
    if known := _kept(key):
        return known
    walk = _Walk(roots)
    digest = hashlib.sha256("\0".join(walk.texts).encode()).hexdigest()[:16]
    _walks.setdefault(digest, (roots, walk))
    _found[key] = digest
    return digest


def reached(*roots: str) -> list[Reached]:
    """The definitions and statements that a digest of these roots covers."""
    found = []
    for node in _Walk(roots).numbers:
        read = _read(node.module) or {}
        if node.kind == "definition":
            one = read["definitions"][node.number]
            found.append(Reached(node.module, one["label"], one["first"], one["last"]))
        elif node.kind == "statements":
            found += [Reached(node.module, "", *lines) for lines in read["lines"]]
        elif node.kind == "text":
            found.append(Reached(node.module, "", 1, sys.maxsize))
    return sorted(set(found))


def exists(module: str) -> bool:
    """Whether the package has a module."""
    return _read(module) is not None


def defines(module: str, name: str) -> bool:
    """Whether a module of the package binds a name at its top level."""
    read = _read(module)
    return read is not None and name in read["names"]


def used_by(module: str) -> list[str]:
    """Roots for all that a module of the frame uses of what computes: what opens and writes files.

    The registry is left out: what it loads is a root of its own.
    """
    read = _read(module)
    found: dict[str, None] = {}
    for piece in [p for d in (read or {"definitions": []})["definitions"] for p in d["pieces"]]:
        if isinstance(piece, list) and piece[0] == USE:
            used = _resolve(piece[1], piece[2], tuple(piece[3]))
            if used.node is None or used.module in (module, f"{PACKAGE.name}.plan.registry"):
                continue
            is_definition = used.node.kind == "definition"
            found[_label(used.node) if is_definition else used.module] = None
    return list(found)


class _Walk:
    """Follows names from the roots."""

    def __init__(self, roots: Iterable[str]) -> None:
        self.numbers: dict[Node, int] = {}
        self.order: list[Node] = []
        self.texts: list[str] = []
        self.loaded: dict[str, None] = {}
        self.folders: set[tuple[str, bool]] = set()
        given: set[tuple[str, bool]] = set()
        for root in roots:
            module, _, name = root.partition(":")
            if _read(module) is None:
                raise ModuleNotFoundError(f"not in the package: {module}")
            if name and not defines(module, name):
                raise AttributeError(f"{module} defines no {name}")
            self.texts.append(f"Root({self._use(module, name, [])})")
            folder = module.rpartition(".")[0].rpartition(".")[2]
            given |= {(folder, False), (folder, not name)}
        self._given = given
        self._follow()

    def _follow(self) -> None:
        done = 0
        while done < len(self.order):
            node = self.order[done]
            self._load(node.module)
            self.texts.append(f"{node.kind}({self._text(_pieces(node))})")
            done += 1
            if done == len(self.order):
                for left in self._left():
                    self._number(left)

    def _left(self) -> Iterator[Node]:
        """What no name leads to, and counts: run when its module is loaded, or chosen late."""
        for module in sorted(self.loaded):
            read = _read(module) or {}
            if read["effects"]:
                yield Node("statements", module)
            for number, definition in enumerate(read["definitions"]):
                if _runs_at_once(definition):
                    yield Node("definition", module, number)
        for folder, _ in sorted(self.folders - self._given):
            for each in registry.MARKS if folder == "*" else [folder]:
                for member in registry.members(each) if each in registry.MARKS else ():
                    yield Node("module", f"{PACKAGE.name}.{each}.{member}")

    def _load(self, module: str) -> None:
        """Note a module, those above it, and all that they import when they are loaded."""
        if module in self.loaded:
            return
        waiting = [module]
        while waiting:
            for name in _with_parents(waiting.pop()):
                read = None if name in self.loaded or is_frame(name) else _read(name)
                if read is not None:
                    self.loaded[name] = None
                    waiting += read["loads"]

    def _number(self, node: Node) -> str:
        if node not in self.numbers:
            self.numbers[node] = len(self.order)
            self.order.append(node)
        return f"#{self.numbers[node]}"

    def _text(self, pieces: Iterable[Any]) -> str:
        return "".join(p if isinstance(p, str) else self._follow_piece(p) for p in pieces)

    def _follow_piece(self, piece: list[Any]) -> str:
        kind, *rest = piece
        if kind == USE:
            return self._use(*rest)
        if kind == LOAD:
            self._load(rest[0])
        elif kind == MEMBERS:
            self.folders.add((rest[0], bool(rest[1])))
        elif kind == NAMED:
            named = [name for name in _with_parents(rest[0]) if _read(name) is not None]
            if named and rest[1] and defines(named[-1], rest[1]):
                return f"<{self._use(named[-1], rest[1], [])}>"
            if named and named[-1] != PACKAGE.name and not is_frame(named[-1]):
                return f"<{self._number(Node('command', named[-1]))}>"
        else:
            assert kind == RAW
            return f"<{self._number(Node('text', rest[0]))}>"
        return ""

    def _use(self, module: str, name: str, attributes: list[str]) -> str:
        """The text of a name: the number of what it stands for, and what is asked of that."""
        found = _resolve(module, name, tuple(attributes))
        self._load(found.module)
        what = found.text if found.node is None else f"{self._number(found.node)}:{found.text}"
        # Told apart from text of a program: that has no such character outside of its strings.
        return f"\x01{what}\x02"

    def parts(self) -> dict[str, str]:
        """Digests of the definitions' own texts, by ``module:name``; statements by ``module:``."""
        found: dict[str, str] = {}
        for node in self.order:
            if node.kind == "module":
                continue
            label = _label(node)
            text = json.dumps([found.get(label, ""), _plain(_pieces(node))])
            found[label] = hashlib.sha256(text.encode()).hexdigest()[:8]
        return found


class _Found(NamedTuple):
    """What a name stands for.

    Attributes:
        module: The module where it is defined.
        node: What counts; None for the frame's, of which only the name counts.
        text: Its name there, and the attributes that are asked of it.
    """

    module: str
    node: Node | None
    text: str


@functools.cache
def _resolve(module: str, name: str, attributes: tuple[str, ...]) -> _Found:
    seen = set()
    rest = list(attributes)
    while True:
        if not name and rest:
            name = rest.pop(0)
        if "." not in module and name and _read(f"{module}.{name}") is not None:
            module, name = f"{module}.{name}", ""  # of the package's own file nothing counts
            continue
        if is_frame(module):
            return _Found(module, None, ".".join(["frame", *filter(None, [name]), *rest]))
        read = _read(module)
        if read is None:  # no such module: an import that would fail
            return _Found(PACKAGE.name, None, ".".join(["missing", module, name, *rest]))
        if not name or (module, name) in seen:
            return _Found(module, Node("module", module), ".".join(["", *rest]))
        seen.add((module, name))
        bound = read["names"].get(name)
        if bound is None and _read(f"{module}.{name}") is not None:
            module, name = f"{module}.{name}", ""
        elif bound is None:
            return _Found(module, Node("module", module), ".".join([name, *rest]))
        elif bound[0] == "import" and bound[1].split(".")[0] != PACKAGE.name:
            outside = filter(None, ["outside", *bound[1:], *rest])
            return _Found(module, None, ".".join(outside))
        elif bound[0] == "import":
            module, name = bound[1], bound[2]
        elif bound[0] == "odd":
            return _Found(module, Node("statements", module), ".".join([name, *rest]))
        else:
            node = Node("definition", module, bound[1])
            return _Found(module, node, ".".join([name, *rest]))


def _pieces(node: Node) -> list[Any]:
    """A node's text and what it uses."""
    read = _read(node.module) or {}
    if node.kind == "definition":
        pieces: list[Any] = read["definitions"][node.number]["pieces"]
    elif node.kind == "statements":
        pieces = read["effects"]
    elif node.kind == "text":
        pieces = [read["raw"], *_all_names(node.module)]
    else:
        pieces = list(_all_names(node.module))
        pieces += read["main"] if node.kind == "command" else []
    return [[RAW, node.module] if piece == [RAW] else piece for piece in pieces]


def _all_names(module: str) -> Iterator[Any]:
    """All that a module defines, and the definitions that it imports: each may be asked of it."""
    for name in sorted((_read(module) or {})["names"]):
        found = _resolve(module, name, ())
        yield f"{name}="
        yield f"({found.module})" if found.text == "" else [USE, module, name, []]
        yield ","


def _runs_at_once(definition: dict[str, Any]) -> bool:
    """Whether a definition has a say in what happens when its module is loaded."""
    if definition.get("runs"):
        return True
    for module, name, attributes in definition["calls"]:
        called = _definition(_resolve(module, name, tuple(attributes)))
        if called is None or attributes or _makes(called):
            found = _resolve(module, name, tuple(attributes))
            if found.node is not None or called is not None:
                return True
    return any(_hooks(base) for base in definition["bases"])


def _definition(found: _Found) -> dict[str, Any] | None:
    if found.node is None or found.node.kind != "definition":
        return None
    read = _read(found.node.module) or {}
    definition: dict[str, Any] = read["definitions"][found.node.number]
    return definition


def _makes(definition: dict[str, Any]) -> bool:
    """Whether calling it runs code of the package, more than to fill in the fields of a class."""
    if definition.get("makes", True):
        return True
    bases = (_definition(_resolve(m, n, tuple(a))) for m, n, a in definition["bases"])
    return any(base is not None and _makes(base) for base in bases)


def _hooks(base: list[Any]) -> bool:
    """Whether to inherit from a class runs code of the package."""
    definition = _definition(_resolve(base[0], base[1], tuple(base[2])))
    if definition is None:
        return False
    return bool(definition.get("hooks")) or any(map(_hooks, definition["bases"]))


def _label(node: Node) -> str:
    if node.kind != "definition":
        return f"{node.module}:"
    return f"{node.module}:{(_read(node.module) or {})['definitions'][node.number]['label']}"


def _plain(pieces: Iterable[Any]) -> list[Any]:
    """Pieces that do not tell where a name is defined: only the name."""
    return [
        _resolve(p[1], p[2], tuple(p[3])).text if isinstance(p, list) and p[0] == USE else p
        for p in pieces
    ]


# -- what earlier digests were made of ---------------------------------------------------------


def code_parts(digest: str) -> dict[str, str]:
    """Digests of the definitions that a code digest covers, by ``module:name``; or none.

    Of this run, or of an earlier one here. Of results that an older version made, modules.
    """
    known = _known(digest)
    parts = known.get("parts", known)  # an older version kept the parts alone
    is_whole = isinstance(parts, dict) and all(isinstance(p, str) for p in parts.values())
    return parts if is_whole else {}


def _known(digest: str) -> dict[str, Any]:
    if digest in _walks and digest not in _parts:
        roots, walk = _walks[digest]
        _parts[digest] = {"roots": list(roots), "parts": walk.parts()}
    if digest not in _parts:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((CACHE / f"{digest}.json").read_text())
            return found if isinstance(found, dict) else {}
    return _parts.get(digest, {})


def changed_since(digest: str) -> list[str]:
    """Definitions that are no longer what a digest was made of; none where that is not known."""
    known = _known(digest)
    before, roots = known.get("parts"), known.get("roots")
    if not isinstance(before, dict) or not isinstance(roots, list):
        return []
    try:
        now = _digest(tuple(map(str, roots)))
    except (ModuleNotFoundError, AttributeError, SyntaxError) as error:
        return [str(error)]
    if now == digest:
        return []
    after = code_parts(now)
    names = [n for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
    return [name.rstrip(":") for name in names] or [str(root) for root in roots]


def keep_parts() -> None:
    """Write what this run's code digests are made of, for later runs."""
    for digest in _walks:
        path = CACHE / f"{digest}.json"
        if not path.exists():
            write_json(path, _known(digest), is_lasting=False)
    _keep_read()
    # Not where somebody edited it meanwhile: what was found may be of the one text or the other.
    if _found and _content() == _read_content():
        digests = _remembered() | _found
        write_json(CACHE / DIGESTS, {"content": _content(), "digests": digests}, is_lasting=False)
        _found.clear()
    _keep_content()


# -- modules as they are read ------------------------------------------------------------------


@functools.cache
def _with_parents(name: str) -> tuple[str, ...]:
    parts = name.split(".")
    return tuple(".".join(parts[:i]) for i in range(1, len(parts) + 1))


@functools.cache
def _file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((c for c in candidates if c.is_file()), None)


@functools.cache
def _read(name: str) -> dict[str, Any] | None:
    """What a module of the package is made of; None where there is none of that name."""
    path = _file(name)
    if path is None or name.split(".")[0] != PACKAGE.name:
        return None
    source = path.read_bytes()
    key = hashlib.sha256(f"{name}\0{_reader()}\0".encode() + source).hexdigest()
    known = _earlier()
    if key not in known:
        known[key] = read_module(source, name, is_package=path.name == "__init__.py")
        _fresh.add(key)
    _used.add(key)
    return known[key]


_used: set[str] = set()
_fresh: set[str] = set()
_found: dict[str, str] = {}
"""Roots -> their digest, where it had to be found."""


def _read_content() -> str:
    """Digest of all that code digests are found from: the package's text, and how it is read."""
    digest = hashlib.sha256(_reader().encode())
    package = ROOT / PACKAGE.name
    for path in sorted(package.rglob("*.py")):
        text = path.read_bytes()
        digest.update(f"{path.relative_to(package)}\0{len(text)}\0".encode() + text)
    return digest.hexdigest()


@functools.cache
def _content() -> str:
    """That digest, without reading all where no file changed: each job of a run asks for it."""
    return _stamped().get(_stamps()[0]) or _read_content()


def _stamps() -> tuple[str, int]:
    """Digest of what changes with the package's files, and the latest time of one in ns."""
    found, newest, waiting = [], 0, [str(ROOT / PACKAGE.name)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    times = (status.st_mtime_ns, status.st_ctime_ns)
                    found.append((entry.path, status.st_size, status.st_ino, *times))
                    newest = max(newest, *times)
                elif entry.is_dir(follow_symlinks=False) and entry.name != "__pycache__":
                    waiting.append(entry.path)
    text = json.dumps([sys.version_info[:2], sorted(found)])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest(), newest


def _stamped() -> dict[str, str]:
    """Digest of sizes and times -> digest of the text; empty where that is not known."""
    try:
        kept = json.loads((CACHE / STAMPS).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    is_whole = isinstance(kept, dict) and all(isinstance(text, str) for text in kept.values())
    return kept if is_whole else {}


def _keep_content() -> None:
    """Remember the text by the files' times, but not by those of the last seconds.

    A second edit might leave the same times.
    """
    now, (stamps, newest) = time.time_ns(), _stamps()
    if now - newest > SETTLED_NS and stamps not in _stamped():
        content = _read_content()
        if _stamps()[0] == stamps:
            write_json(CACHE / STAMPS, {stamps: content}, is_lasting=False)


@functools.cache
def _remembered() -> dict[str, str]:
    """Roots -> their digest, of this very text; none where another was read last."""
    content = _content()  # in any case before a module is read
    try:
        kept = json.loads((CACHE / DIGESTS).read_text())
        found: dict[str, str] = kept["digests"] if kept["content"] == content else {}
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return {}
    is_whole = isinstance(found, dict) and all(isinstance(d, str) for d in found.values())
    return found if is_whole else {}


@functools.cache
def _reader() -> str:
    """By what modules are read: another Python's syntax trees may be others."""
    own = Path(code_reading.__file__).read_bytes()
    return f"{sys.version_info[:2]}{hashlib.sha256(own).hexdigest()}"


@functools.cache
def _earlier() -> dict[str, dict[str, Any]]:
    """What earlier runs read, by the digest of a module's text; a damaged file is as none."""
    try:
        found = json.loads((CACHE / READ).read_text())
        return {key: value for key, value in found.items() if _is_whole(value)}
    except (OSError, ValueError, RecursionError, AttributeError):
        return {}


def _is_whole(read: Any) -> bool:
    lists = ("definitions", "effects", "main", "lines", "stars", "loads")
    return (
        isinstance(read, dict)
        and isinstance(read.get("names"), dict)
        and isinstance(read.get("raw"), str)
        and all(isinstance(read.get(key), list) for key in lists)
    )


def _keep_read() -> None:
    if _fresh:
        kept = {key: _earlier()[key] for key in sorted(_used | _fresh)}
        with atomic(CACHE / READ, is_lasting=False) as handle:
            handle.write(json.dumps(kept, separators=(",", ":")).encode())
        _fresh.clear()


def forget() -> None:
    """Read all modules anew: for tests that edit them."""
    for cached in (_digest, _resolve, _file, _read, _content, _remembered):
        cached.cache_clear()
    for kept in (_used, _parts, _walks, _found):
        kept.clear()
