"""A digest of the code that a stage runs: its module and all that this imports from the package.

Comments, docstrings and formatting do not count; the digest is the same on Pythons 3.11 and newer.
Snakemake compares it as a rule's parameter, so that an edited import of an import reruns
the stages that use it, and a corrected comment reruns nothing.
"""

import ast
import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from sightlines.core.files import write_json
from sightlines.plan.registry import PACKAGE

ROOT = PACKAGE.parent
CACHE = Path(".cache/sightlines/code")
"""What the digests of earlier runs were made of."""

NEUTRAL = ("sightlines.core.checkout", "sightlines.core.errors", "sightlines.jobs.liveness")
"""Modules that carry every job and touch no result: whose code it is, what errors are called, what
a killed run leaves behind. A corrected message must not train a network again."""

_parts: dict[str, dict[str, str]] = {}


def code_digest(*modules: str) -> str:
    """Digest of the modules and of every package module that they import, directly or not.

    Raises:
        ModuleNotFoundError: a module is not part of the package.
    """
    sources: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        for part in _with_parents(name):
            if part in sources or part in NEUTRAL:
                continue
            parsed = _parse(part)
            if parsed is None:
                break
            sources[part] = parsed[0]
            waiting.extend(parsed[1])
    missing = [m for m in modules if m not in sources]
    if missing:
        raise ModuleNotFoundError(f"not in the package: {missing}")
    text = "".join(f"{name}\0{sources[name]}\0" for name in sorted(sources))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    _remember(digest, sources)
    return digest


def _remember(digest: str, sources: dict[str, str]) -> None:
    """Keep what a digest is made of, so that a later run can say which module changed."""
    if digest in _parts:
        return
    _parts[digest] = {name: _brief(text) for name, text in sorted(sources.items())}


@functools.cache
def _brief(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def code_parts(digest: str) -> dict[str, str]:
    """Digest of each module that a code digest was made of, here or in an earlier run; or none."""
    if digest not in _parts:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((CACHE / f"{digest}.json").read_text())
            return found if isinstance(found, dict) else {}
    return _parts.get(digest, {})


def changed_since(digest: str) -> list[str]:
    """Modules that are no longer what a digest was made of; none where that is not known."""
    return [name for name, brief in code_parts(digest).items() if brief != _brief_now(name)]


def _brief_now(name: str) -> str:
    parsed = _parse(name)
    return _brief(parsed[0]) if parsed else ""


def keep_parts() -> None:
    """Write what this run's code digests are made of, for later runs."""
    for digest, parts in _parts.items():
        path = CACHE / f"{digest}.json"
        if not path.exists():
            write_json(path, parts)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:i]) for i in range(1, len(parts) + 1))


def _file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((c for c in candidates if c.is_file()), None)


@functools.cache
def _parse(name: str) -> tuple[str, tuple[str, ...]] | None:
    path = _file(name)
    if path is None or name.split(".")[0] != PACKAGE.name:
        return None
    tree = ast.parse(path.read_bytes())
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imported = tuple(_imports(tree, package))
    return _dump(_without_docstrings(tree)), imported


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                above = above[: len(above) - (node.level - 1)]
                base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # Bare strings do nothing wherever they stand: docstrings of attributes, too.
            body = [n for n in node.body if not _is_text(n)]
            node.body = body or [ast.Pass()]
    return tree


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _dump(node: object) -> str:
    """Like ast.dump, but without empty fields, whose set differs between Pythons."""
    if isinstance(node, ast.AST):
        fields = (
            f"{name}={_dump(value)}"
            for name, value in ast.iter_fields(node)
            if value not in (None, []) and name not in ("kind", "type_comment")
        )
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    return repr(node)
