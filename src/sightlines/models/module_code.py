"""The code of a network of somebody's own: found, digested, trusted or refused; never run here.

Its digest covers the file and the local files that it imports, directly or not, and the versions
of the installed packages that it imports by name. What a clone pulled is refused until it is told
`trust_code=<digest>` once; what was written here and is not committed yet is trusted.
"""

import ast
import functools
import hashlib
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata, util
from pathlib import Path

import yaml

from sightlines.core.errors import ConfigError

TRUSTED = Path(".cache/sightlines/trusted_code")
"""Digests of code that this clone was told to trust, one an empty file. No part of git."""


def parted(entry: str) -> tuple[str, str]:
    """File or package, and function.

    Raises:
        ConfigError: it is neither `my_models.py:build` nor `package.module:build`, or leads out of
            the working directory.
    """
    place, _, function = entry.partition(":")
    path = Path(place)
    if not function.isidentifier() or path.is_absolute() or ".." in path.parts:
        raise ConfigError(
            f"entry is {entry!r}: write my_models.py:build, a file of this project, or "
            "package.module:build, of an installed package"
        )
    return place, function


def source_of(entry: str) -> Path:
    """The file in which the function of an entry is.

    Raises:
        ConfigError: there is none.
    """
    place, function = parted(entry)
    if place.endswith(".py"):
        path = Path(place)
    else:
        top = place.partition(".")[0]
        try:
            spec = util.find_spec(top)  # imports nothing, as long as it is no submodule
        except ValueError:  # no name at all, or that of the program that runs
            spec = None
        if spec is None or spec.origin is None:
            raise ConfigError(f"entry is {entry!r}, but no package {top} is installed")
        folder = Path(spec.origin).parent
        rest = place.split(".")[1:]
        path = folder.joinpath(*rest).with_suffix(".py") if rest else Path(spec.origin)
        path = path if path.is_file() else folder.joinpath(*rest, "__init__.py")
    if not path.is_file():
        raise ConfigError(f"entry is {entry!r}, but there is no file {path}")
    names = {n.name for n in _tree(path).body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    if function not in names:
        there = ", ".join(sorted(names)) or "none"
        raise ConfigError(f"{path} defines no {function}: it has {there}")
    return path


def require_arguments(entry: str, given: Sequence[str]) -> None:
    """Check that the function of an entry takes what it will be called with, as far as it is read.

    Args:
        entry: Of the config.
        given: Names of the arguments.

    Raises:
        ConfigError: with what it does not take, or asks for besides.
    """
    path, function = source_of(entry), parted(entry)[1]
    for node in _tree(path).body:
        if isinstance(node, ast.ClassDef) and node.name == function:
            own = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
            skipped = 1
        elif isinstance(node, ast.FunctionDef) and node.name == function:
            own, skipped = [node], 0
        else:
            continue
        if node.decorator_list or not own or own[-1].decorator_list:
            return  # what it takes is not to be read here
        _require_taken(f"{function} of {path}", own[-1].args, skipped, given)


def _require_taken(what: str, takes: ast.arguments, skipped: int, given: Sequence[str]) -> None:
    alone = [argument.arg for argument in takes.posonlyargs][skipped:]
    skipped = max(skipped - len(takes.posonlyargs), 0)
    named = [argument.arg for argument in takes.args][skipped:]
    single = [argument.arg for argument in takes.kwonlyargs]
    optional = {*[*alone, *named][len(alone) + len(named) - len(takes.defaults) :]}
    optional |= {n for n, v in zip(single, takes.kw_defaults, strict=True) if v is not None}
    odd = [] if takes.kwarg else [name for name in given if name not in (*named, *single)]
    lacking = [n for n in (*named, *single) if n not in optional and n not in given]
    lacking += [n for n in alone if n not in optional]
    told = [f"it does not take {', '.join(odd)}"] * bool(odd)
    told += [f"it also asks for {', '.join(lacking)}"] * bool(lacking)
    if told:
        raise ConfigError(
            f"{what} is called with {', '.join(f'{name}=…' for name in given)}: "
            f"{' and '.join(told)}. Change it, or `arguments` of the model"
        )


def digest(entry: str) -> str:
    """SHA-256, 16 digits, of the code of an entry; see the module's text.

    Raises:
        ConfigError: a file cannot be read as Python.
    """
    path = source_of(entry)
    folder = path.parent
    files: dict[str, bytes] = {}
    packages: dict[str, str] = {}
    left = [(folder, path)]
    while left:
        root, own = left.pop()
        name = f"{'./' * (root != folder)}{own.relative_to(root).as_posix()}"
        if name in files:
            continue
        files[name] = own.read_bytes()
        for imported in _imports(_tree(own), own.parent.relative_to(root).parts):
            local = _local(folder, imported)
            left += local
            if not local:
                packages |= _version(imported.partition(".")[0])
    text = hashlib.sha256(entry.partition(":")[2].encode())
    for name, content in sorted(files.items()):
        text.update(f"\n{name} {hashlib.sha256(content).hexdigest()}".encode())
    for name, version in sorted(packages.items()):
        text.update(f"\n{name}=={version}".encode())
    return text.hexdigest()[:16]


def require_trust(entry: str, told: str) -> str:
    """The digest of an entry that may be run.

    Args:
        entry: Of the config.
        told: The config's `trust_code`, digests with commas between them.

    Raises:
        ConfigError: the code was not written here, and nobody said that it is trusted.
    """
    found = digest(entry)
    if (TRUSTED / found).is_file():
        return found
    if found in told.split(",") or (entry.partition(":")[0].endswith(".py") and _is_new(entry)):
        TRUSTED.mkdir(parents=True, exist_ok=True)
        (TRUSTED / found).touch()
        return found
    raise ConfigError(
        f"entry {entry} runs code that this clone does not know: read {source_of(entry).name} and "
        f"what it imports; if you trust it, say so once: snakemake --config trust_code={found}"
    )


def is_trusted(found: str) -> bool:
    """Whether a clone was told to trust a digest."""
    return (TRUSTED / found).is_file()


def _is_new(entry: str) -> bool:
    """Whether a file was written here: git lists it as neither known nor ignored.

    What lies behind a link, in a submodule, or below what DVC pulls, ignored or not, may be
    somebody else's; so may the local files that it imports, and all of a folder that has no commit
    yet, as one that was unpacked.
    """
    path = source_of(entry)
    command = ["ls-files", "--others", "--exclude-standard", "-z", "--", str(path)]
    if not _git("rev-parse", "--verify", "--quiet", "HEAD"):
        return False
    is_listed = _git(*command) == f"{path}\0".encode()
    return is_listed and not _is_pulled(path) and not _local_imports(path)


def _git(*command: str) -> bytes:
    """What git says; nothing where there is none: then nobody can tell."""
    try:
        return subprocess.run(["git", *command], capture_output=True, check=False).stdout
    except OSError:
        return b""


def _is_pulled(path: Path) -> bool:
    """Whether DVC knows a file, or a folder that it is in, by any of its own files here."""
    above = {path.resolve(), *path.resolve().parents}
    listed = _git("ls-files", "--cached", "--others", "-z", "--", "*.dvc", "*dvc.lock", "*dvc.yaml")
    for name in filter(None, listed.decode(errors="replace").split("\0")):
        file = Path(name)
        for named in _named(file):
            if (file.parent / named).resolve() in above:
                return True
    return False


def _named(file: Path) -> Iterator[str]:
    """Whatever texts a file of DVC's holds: outputs are among them."""
    try:
        left = [yaml.safe_load(file.read_bytes())]
    except (OSError, ValueError, yaml.YAMLError):
        return
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str) and value and "\0" not in value:
            yield value


def _local_imports(path: Path) -> list[Path]:
    return [p for name in _imports(_tree(path), ()) for _, p in _local(path.parent, name)]


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as Python: {error}") from error


def _imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[str]:
    """Names of modules that are imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base:
                yield base
            yield from (f"{base}.{alias.name}".lstrip(".") for alias in node.names)


def _local(folder: Path, name: str) -> list[tuple[Path, Path]]:
    """Files that importing a name runs, each with the folder that it is imported from.

    Python looks beside the entry's file first, then in the working directory.
    """
    steps = name.split(".")
    for root in dict.fromkeys((folder, Path())):
        bases = [root.joinpath(*steps[:count]) for count in range(1, len(steps) + 1)]
        options = [o for b in bases for o in (b.with_suffix(".py"), b / "__init__.py")]
        if found := [(root, option) for option in options if option.is_file()]:
            return found
    return []


def _version(top: str) -> dict[str, str]:
    return {name: metadata.version(name) for name in _distributions().get(top, [])}


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Names of installed distributions by top module; it reads a file of each, in a second."""
    return metadata.packages_distributions()
