"""What one module defines, and which names each of its definitions uses: read, never imported.

A definition is a function, a class, or an assignment at a module's top level. Its text is that of
its syntax tree, without what changes no result: comments, docstrings, annotations of functions, and
messages, that is arguments of exceptions, of log calls, of progress, and notes for the record. Of a
message that is told while a job goes on, what is evaluated for it (calls, attributes, items) stays:
it might have an effect. Names that stand for other definitions are kept apart, to be followed.
"""

import ast
import builtins
import copy
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Piece = str | list[Any]
"""Text as it stands; or ``[USE, module, name, attributes]``, ``[LOAD, module]``,
``[NAMED, module, name]``, ``[RAW]``, ``[MEMBERS, folder, whether they are imported]``."""
USE = "use"
"""A name of a module, with the attributes that are asked of it; an empty name: the module."""
LOAD = "load"
"""An import inside of a function: statements of that module may have effects."""
NAMED = "named"
"""A module that a string names, as a command does, or something in it after a colon."""
RAW = "raw"
"""What looks at the module's own text: all of it counts, words included. What only looks names up
uses the module itself: all that it defines counts."""
MEMBERS = "members"
"""Members of a registry's folder, chosen while the code runs; ``*``: of any folder. They are
imported, or only what they declare is read."""

FRAME = (
    "check",
    "cli",
    "core.checkout",
    "core.errors",
    "core.hardware",
    "core.progress",
    "jobs",
    "library",
    "manual",
    "plan.blocks",
    "plan.code_digest",
    "plan.code_reading",
    "plan.config_types",
    "run",
    "sharing",
)
"""Modules and folders that carry jobs, declare what a config may say (what it says is a stage's
`cfg`), or hand the package to notebooks, and compute nothing of a result; the package's own file is
another. In a digest, what they define counts as its bare name: a
corrected message must not train a network again."""

SCHEMAS = ("FILES", "TABLES", "SHARED")
"""Names of the declarations of tables and files, of which the words for readers do not count."""

LEVELS = frozenset("critical debug error exception info log warning".split())
LOGS = frozenset("log _log logger _logger".split())
SPOKEN = frozenset({"warnings.warn", *(f"logging.{level}" for level in LEVELS)})
MESSAGES = frozenset(
    {
        *("ArithmeticError", "AssertionError", "AttributeError", "Exception", "IndexError"),
        *("KeyError", "LookupError", "NotImplementedError", "OverflowError", "RuntimeError"),
        *("TypeError", "ValueError", "ZeroDivisionError"),
    }
)
"""Exceptions whose arguments are words, beside those of core.errors. An OSError's number, the value
of a StopIteration and a command's exit status are none, nor what an exception of our own keeps."""
MAKES_TEXT = frozenset("abs bool float format int isinstance len repr round str type".split())
"""Functions without effects, of which messages are made."""
TAKES = frozenset(
    "add append clear close discard extend insert mkdir next pop popitem read readline remove "
    "rename seek send setdefault step unlink update write".split()
)
"""Calls that change what they are asked of: they count even in a message that ends a job."""
LOOKING = frozenset("__import__ eval exec globals".split())
LOOKING_ATTRIBUTES = frozenset("__closure__ __globals__ __subclasses__".split())
READING = frozenset("__annotations__ __code__ __doc__".split())
LOOKED_UP = (
    *("builtins", "importlib.import_module", "importlib.reload", "inspect.signature"),
    *("pkgutil", "runpy", "sys._getframe", "sys.modules"),
)
"""What finds code by other ways than its name."""
READ_UP = ("inspect", "typing.get_type_hints")
"""What finds its text, docstrings and annotations."""
PLAIN_DECORATORS = frozenset(
    "cache cached_property classmethod contextmanager inference_mode lru_cache no_grad overload "
    "property setter staticmethod wraps".split()
)
"""Decorators that do not ask for a function's annotations."""
OF_THE_MODULE = frozenset("__file__ __name__ __package__ __path__ __spec__".split())

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda, *_COMPREHENSIONS)


@functools.cache
def is_frame(module: str) -> bool:
    """Whether a module of the package carries jobs and computes nothing."""
    inside = module.partition(".")[2]
    return not inside or any(inside == part or inside.startswith(f"{part}.") for part in FRAME)


def read_module(source: bytes, module: str, is_package: bool) -> dict[str, Any]:
    """What a module is made of, as JSON.

    Args:
        source: Its file's content.
        module: Its full name, such as ``sightlines.stats.hsic``.
        is_package: Whether the file is an ``__init__.py``.

    Returns:
        ``names``: name -> ``["def", number]``, ``["import", module, name]`` (an empty name: the
        module), or ``["odd"]`` where it is not bound by exactly one plain statement;
        ``definitions``: of each its label, first and last line, pieces, the names of its bases,
        the names that it calls when the module is loaded, and whether it has a say in what happens
        then (``runs``: always; ``makes``: where it is called; ``hooks``: where it is inherited);
        ``effects`` and ``main``: pieces of the other statements, and of those for a command;
        ``lines``: first and last lines of the effects; ``raw``: digest of the whole text;
        ``stars``: modules of which all names are imported; ``loads``: modules that it imports.
    """
    return _Module(ast.parse(source), module, is_package).read()


class _Module:
    """Reads one module."""

    def __init__(self, tree: ast.Module, module: str, is_package: bool) -> None:
        self.tree, self.module = tree, module
        self.root = module.partition(".")[0]
        self.above = module if is_package else module.rpartition(".")[0]
        self.names: dict[str, list[Any]] = {}
        self.stars: list[str] = []
        self.loads: list[str] = []
        self.named = re.compile(rf"\b{re.escape(self.root)}(\.[A-Za-z_][\w.]*\w)(?::(\w+))?")

    def read(self) -> dict[str, Any]:
        statements = list(self._statements(self.tree.body))
        self._bind(statements)
        definitions: list[dict[str, Any]] = []
        effects, main = _Writer(self), _Writer(self)
        lines = []
        for kind, node in statements:
            if kind == "main":
                main.node(node)
            elif kind == "def":
                bound = [name for name in _bound_by(node) if self.names[name][0] == "def"]
                if bound:
                    number = len(definitions)
                    definitions.append(self._definition(node, bound))
                    for name in bound:
                        self.names[name] = ["def", number]
                if len(bound) < len(set(_bound_by(node))):  # bound elsewhere, too
                    effects.node(node)
                    lines.append(_lines(node))
            elif kind == "effect" or any(
                self.names.get(name) == ["odd"] for name, _ in self.imported(node)
            ):
                effects.node(node)
                lines.append(_lines(node))
        return {
            "names": self.names,
            "definitions": definitions,
            "effects": _short(effects.pieces),
            "main": _short(main.pieces),
            "lines": lines,
            "raw": hashlib.sha256(_bare(self.tree).encode()).hexdigest(),
            "stars": self.stars,
            "loads": sorted(set(self.loads)),
        }

    def _statements(self, body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
        """Top-level statements by kind: def, import, main, effect; those that do nothing: none."""
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield "import", node
            elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                yield "def", node
            elif isinstance(node, ast.Assign) and all(map(_is_plain_target, node.targets)):
                yield "def", node
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                if node.value is not None:
                    yield "def", node
            elif isinstance(node, ast.If) and _is_type_checking(node.test):
                yield from self._statements(node.orelse)
            elif isinstance(node, ast.If) and _is_main(node.test) and not node.orelse:
                yield "main", node
            elif not _is_text(node) and not isinstance(node, ast.Pass):
                yield "effect", node

    def _bind(self, statements: Sequence[tuple[str, ast.stmt]]) -> None:
        for kind, node in statements:
            if kind == "import":
                for name, target in self.imported(node):
                    self.loads += self.loaded(target)
                    if name == "*":
                        self.stars.append(target[0])
                    elif self.names.setdefault(name, ["import", *target]) != ["import", *target]:
                        self.names[name] = ["odd"]
            elif kind == "def":
                for name in _bound_by(node):
                    self.names[name] = ["odd"] if name in self.names else ["def", -1]
            elif kind == "effect":
                self.names |= {name: ["odd"] for name in _bindings([node])}
                changed = {name for name in _first_names(node) if self._is_own(name)}
                self.names |= {name: ["odd"] for name in changed}
                for each in ast.walk(node):
                    if isinstance(each, ast.Import | ast.ImportFrom):
                        for _, target in self.imported(each):
                            self.loads += self.loaded(target)
        for inner in ast.walk(self.tree):  # a function that assigns a name of its module
            if isinstance(inner, ast.Global):
                for name in inner.names:
                    self.names.setdefault(name, ["odd"])

    def _is_own(self, name: str) -> bool:
        return bool(self.names.get(name, ["def"])[0] != "import")

    def imported(self, node: ast.AST) -> Iterator[tuple[str, list[str]]]:
        """Bound name -> (module, name in it), for an import; the module itself has no name."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                full = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or full, [full, ""]
                if not alias.asname:
                    self.loads += self.loaded([alias.name, ""])
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            base = node.module or ""
            if node.level:
                above = self.above.split(".")
                above = above[: len(above) - (node.level - 1)]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield alias.asname or alias.name, [base, alias.name]

    def loaded(self, target: Sequence[str]) -> list[str]:
        """Modules of the package that an import may load."""
        base, name = target
        if not self.is_ours(base):
            return []
        return [base, f"{base}.{name}"] if name not in ("", "*") else [base]

    def is_ours(self, module: str) -> bool:
        return module.partition(".")[0] == self.root

    def _definition(self, node: ast.stmt, bound: list[str]) -> dict[str, Any]:
        writer = _Writer(self)
        writer.node(_Layout().visit(copy.deepcopy(node)) if bound[0] in SCHEMAS else node)
        first, last = _lines(node)
        own = {name for name, binding in self.names.items() if binding[0] != "import"}
        found: dict[str, Any] = {
            "label": bound[0],
            "first": first,
            "last": last,
            "pieces": _short(writer.pieces),
            "bases": [],
            "calls": [],
        }
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            found["makes"] = isinstance(node, _FUNCTIONS)
            for decorator in node.decorator_list:
                name = _dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
                target = writer.target(name) if name else None
                is_ours = target is not None and self.is_ours(target[0])
                if not name or is_ours or name[0] in own or name[-1] == "register":
                    found["runs"] = True
        if isinstance(node, ast.ClassDef):
            methods = {n.name for n in node.body if isinstance(n, _FUNCTIONS)}
            found["makes"] = bool(methods & {"__init__", "__new__", "__post_init__"})
            has_own_type = any(k.arg == "metaclass" for k in node.keywords)
            found["hooks"] = has_own_type or "__init_subclass__" in methods
            found["runs"] = found.get("runs", False) or has_own_type
            names = [_dotted(base) for base in node.bases]
            found["bases"] = [t for n in names if n and (t := writer.target(n))]
        for call in _calls_now(node):
            name = _dotted(call.func)
            target = writer.target(name) if name else None
            if target is not None and self.is_ours(target[0]):
                found["calls"].append(target)
        return found


class _Layout(ast.NodeTransformer):
    """Leaves of tables' schemas what their bytes follow from: names, types, what may be absent.

    Units and meanings are for readers (`plan.table_schemas`).
    """

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        """Columns without their units and their meanings; a column stands in a tuple of columns."""
        for column in node.elts:
            if isinstance(column, ast.Tuple) and len(column.elts) >= 4:
                del column.elts[2:4]
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        """A table without what it is about and what a row is."""
        pairs = [
            (key, value)
            for key, value in zip(node.keys, node.values, strict=True)
            if not (isinstance(key, ast.Constant) and key.value in ("about", "row"))
        ]
        node.keys, node.values = [key for key, _ in pairs], [value for _, value in pairs]
        return self.generic_visit(node)


class _Scope:
    """Names of a function, a lambda, a comprehension, or a class body."""

    def __init__(self, is_class: bool = False) -> None:
        self.is_class = is_class
        self.bound: set[str] = set()
        self.free: set[str] = set()
        self.imports: dict[str, list[str]] = {}
        self.progress: set[str] = set()


class _Writer:
    """Writes syntax trees as text and the names that they use."""

    def __init__(self, module: _Module) -> None:
        self.module = module
        # What a star binds is not known: all of it is used.
        self.pieces: list[Piece] = [[USE, star, "", []] for star in module.stars]
        self.scopes: list[_Scope] = []

    # -- writing -------------------------------------------------------------------------

    def text(self, text: str) -> None:
        if self.pieces and isinstance(self.pieces[-1], str):
            self.pieces[-1] += text
        else:
            self.pieces.append(text)

    def node(self, node: Any) -> None:
        """Write one node, a list of nodes or a value."""
        if isinstance(node, list):
            self.text("[")
            for each in node:
                self.node(each)
                self.text(",")
            self.text("]")
        elif isinstance(node, ast.AST):
            method = getattr(self, f"_write_{type(node).__name__}", None)
            if method is None or not method(node):
                self.fields(node)
        else:
            self.text(repr(node))

    def fields(self, node: ast.AST, left_out: Sequence[str] = ()) -> None:
        """As ast.dump, but without empty fields, whose set differs between Pythons."""
        self.text(f"{type(node).__name__}(")
        for name, value in ast.iter_fields(node):
            if value in (None, []) and not isinstance(node, ast.Constant):
                continue
            if name in left_out or name in ("kind", "type_comment"):
                continue
            self.text(f"{name}=")
            if name in ("body", "orelse", "finalbody") and isinstance(value, list):
                self.body(value)
            else:
                self.node(value)
            self.text(",")
        self.text(")")

    def body(self, statements: Sequence[ast.stmt]) -> None:
        """Statements, without those that change no result."""
        self.text("[")
        for statement in statements:
            if _is_text(statement) or isinstance(statement, ast.Pass):
                continue
            told = self.told(statement)
            if told is None:
                self.node(statement)
                self.text(",")
            else:
                self.kept(told)
        self.text("]")

    def kept(self, nodes: Iterable[ast.expr]) -> None:
        """What of a message may have an effect."""
        for node in nodes:
            self.text("Told(")
            self.node(node)
            self.text("),")

    # -- names ---------------------------------------------------------------------------

    def target(self, dotted: Sequence[str]) -> list[Any] | None:
        """(module, name, attributes) that a dotted name stands for; None for a local or builtin."""
        name, *attributes = dotted
        for depth, scope in enumerate(reversed(self.scopes)):
            if scope.is_class and depth:
                continue
            if name in scope.free:
                break
            if name in scope.imports:
                return [*scope.imports[name], attributes]
            if name in scope.bound and not scope.is_class:
                return None
        found = self.module.names.get(name)
        if found is None:
            return None
        if found[0] == "import":
            return [found[1], found[2], attributes]
        return [self.module.module, name, attributes]

    def outside(self, dotted: Sequence[str]) -> str:
        """The full name of what is not of the package; empty for anything else."""
        target = self.target(dotted)
        if target is None or self.module.is_ours(target[0]):
            return ""
        base, name, attributes = target
        return ".".join([base, *([name] if name else []), *attributes])

    def frame(self, dotted: Sequence[str], part: str) -> str:
        """The name that stands for something of one module of the frame; or nothing."""
        target = self.target(dotted)
        if target is None or not self.module.is_ours(target[0]):
            return ""
        whole = ".".join([target[0], *([target[1]] if target[1] else []), *target[2]])
        module, _, name = whole.rpartition(".")
        return name if module == f"{self.module.root}.{part}" else ""

    def is_builtin(self, dotted: Sequence[str], names: frozenset[str]) -> bool:
        if len(dotted) != 1 or dotted[0] not in names or not hasattr(builtins, dotted[0]):
            return False
        local = any(dotted[0] in scope.bound for scope in self.scopes)
        return not local and dotted[0] not in self.module.names

    def all_names(self) -> None:
        """Use all that the module defines; what the registry loads, its callers count."""
        if self.module.module != f"{self.module.root}.plan.registry":
            self.pieces.append([USE, self.module.module, "", []])

    def _write_Name(self, node: ast.Name) -> bool:
        return self._chain([node.id], node.ctx)

    def _write_Attribute(self, node: ast.Attribute) -> bool:
        if node.attr in LOOKING_ATTRIBUTES:
            self.all_names()
        if node.attr in READING:
            self.pieces.append([RAW])
        dotted = _dotted(node)
        return bool(dotted) and self._chain(dotted, node.ctx)

    def _chain(self, dotted: Sequence[str], ctx: ast.expr_context) -> bool:
        target = self.target(dotted)
        if target is None:
            if len(dotted) == 1 and dotted[0] in LOOKING | LOOKING_ATTRIBUTES:
                self.all_names()
            if len(dotted) == 1 and dotted[0] in READING:
                self.pieces.append([RAW])
            if len(dotted) == 1 and dotted[0] in OF_THE_MODULE:
                self.text(f"Of({self.module.module})")
            return False
        self.text("Use(")
        if any(dotted[0] in scope.bound for scope in self.scopes):
            self.text(f"{dotted[0]}:")  # of a class body: it may be either
        if self.module.is_ours(target[0]):
            self.pieces.append([USE, *target])
        else:
            full = self.outside(dotted)
            self.text(full)
            if any(full == each or full.startswith(f"{each}.") for each in LOOKED_UP):
                self.all_names()
            elif any(full == each or full.startswith(f"{each}.") for each in READ_UP):
                self.pieces.append([RAW])
        if not isinstance(ctx, ast.Load):
            self.text(f",{type(ctx).__name__}")
        self.text(")")
        return True

    def _write_Constant(self, node: ast.Constant) -> bool:
        if isinstance(node.value, str):
            for inside, name in self.module.named.findall(node.value):
                self.pieces.append([NAMED, f"{self.module.root}{inside}", name])
        return False

    def _write_Import(self, node: ast.Import) -> bool:
        return self._import(node)

    def _write_ImportFrom(self, node: ast.ImportFrom) -> bool:
        return self._import(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> bool:
        self.text("Import(")
        for name, target in self.module.imported(node):
            if not self.module.is_ours(target[0]):
                self.text(f"{'.'.join(filter(None, target))} as {name},")
                continue
            self.pieces += [[LOAD, module] for module in self.module.loaded(target)]
            if not self.scopes or name not in self.scopes[-1].imports:
                self.text(f"{name}=")
                self.pieces.append([USE, *target, []])
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.pieces += [[LOAD, part] for part in self.module.loaded([alias.name, ""])]
        self.text(")")
        return True

    # -- scopes --------------------------------------------------------------------------

    def _write_FunctionDef(self, node: ast.FunctionDef) -> bool:
        return self._function(node)

    def _write_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> bool:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        self.text(f"{type(node).__name__}({node.name},")
        self.node(node.decorator_list)
        names = [_dotted(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list]
        if not all(name and name[-1] in PLAIN_DECORATORS for name in names):
            for each in [*_arguments(node.args), node]:
                annotation = each.annotation if isinstance(each, ast.arg) else each.returns
                self.text(f":{_bare(annotation) if annotation else ''}")
        self._arguments(node.args)
        self.scopes.append(self._scope(node.body, _arguments(node.args)))
        self.body(node.body)
        self.scopes.pop()
        self.text(")")
        return True

    def _write_Lambda(self, node: ast.Lambda) -> bool:
        self.text("Lambda(")
        self._arguments(node.args)
        self.scopes.append(self._scope([node.body], _arguments(node.args)))
        self.node(node.body)
        self.scopes.pop()
        self.text(")")
        return True

    def _arguments(self, arguments: ast.arguments) -> None:
        parts = (arguments.posonlyargs, arguments.args, arguments.kwonlyargs)
        groups = [[each.arg for each in part] for part in parts]
        starred = [each.arg if each else None for each in (arguments.vararg, arguments.kwarg)]
        self.text(f"{groups},{starred},")
        self.node(arguments.defaults)
        self.node(arguments.kw_defaults)

    def _write_ClassDef(self, node: ast.ClassDef) -> bool:
        self.text(f"ClassDef({node.name},")
        for part in (node.decorator_list, node.bases, node.keywords):
            self.node(part)
        scope = self._scope(node.body, [])
        scope.is_class, scope.imports = True, {}
        self.scopes.append(scope)
        self.body(node.body)
        self.scopes.pop()
        self.text(")")
        return True

    def _comprehension(self, node: Any) -> bool:
        self.text(f"{type(node).__name__}(")
        self.node(node.generators[0].iter)  # evaluated outside
        scope = _Scope()
        scope.bound = {n for each in node.generators for n in _targets(each.target)}
        self.scopes.append(scope)
        for number, each in enumerate(node.generators):
            self.fields(each, left_out=("iter",) if number == 0 else ())
        for name in ("key", "value", "elt"):
            if hasattr(node, name):
                self.node(getattr(node, name))
        self.scopes.pop()
        self.text(")")
        return True

    _write_ListComp = _write_SetComp = _write_DictComp = _write_GeneratorExp = _comprehension

    def _scope(self, body: Sequence[ast.AST], arguments: Sequence[ast.arg]) -> _Scope:
        scope = _Scope()
        found = _bindings(body)
        disclaimed = found.pop("", [])
        outer = {name for node in disclaimed for name in node.names}
        scope.free = {n for node in disclaimed if isinstance(node, ast.Global) for n in node.names}
        scope.bound = {*found, *(each.arg for each in arguments)} - outer
        for name, nodes in found.items():
            if name in {each.arg for each in arguments} or name in outer:
                continue
            targets = [
                target
                for node in nodes
                for bound, target in self.module.imported(node)
                if bound == name
            ]
            if len(targets) == len(nodes) and all(target == targets[0] for target in targets):
                scope.imports[name] = targets[0]
        says = [(a.arg, _bare(a.annotation) if a.annotation else "") for a in arguments]
        scope.progress = {name for name, text in says if "'Progress'" in text and name not in found}
        for name, nodes in found.items():
            values = [n.value if isinstance(n, ast.Assign) else None for n in nodes]
            if values and all(self._makes_progress(value) for value in values):
                scope.progress.add(name)
        return scope

    def _makes_progress(self, value: ast.expr | None) -> bool:
        name = _dotted(value.func) if isinstance(value, ast.Call) else []
        return bool(name) and self.frame(name, "core.progress") == "Progress"

    # -- messages ------------------------------------------------------------------------

    def _write_Call(self, node: ast.Call) -> bool:
        name = _dotted(node.func)
        if not name:
            return False
        target = self.target(name)
        registry = f"{self.module.root}.plan.registry"
        if target and ".".join([target[0], target[1]]) == registry and len(target[2]) == 1:
            target = [registry, target[2][0], []]
        chooses = target is not None and target[0] == registry and target[1]
        own = (registry, f"{self.module.root}.plan.table_schemas")  # these read declarations alone
        if chooses in ("attribute", "load", "declarations") and self.module.module not in own:
            first = node.args[0] if node.args and chooses != "attribute" else None
            folder = first.value if isinstance(first, ast.Constant) else "*"
            self.pieces.append([MEMBERS, folder, chooses != "declarations"])
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if self.is_builtin(name, MESSAGES) or self.frame(name, "core.errors").endswith("Error"):
            kept = [part for each in arguments for part in _lasting(each)]
        elif self.frame(name, "core.progress") == "Progress":
            kept = [part for each in arguments for part in self.evaluated(each)]
        else:
            return False
        self.text("Says(")
        self.node(node.func)
        self.kept(kept)
        self.text(")")
        return True

    def _write_Assert(self, node: ast.Assert) -> bool:
        self.text("Assert(")
        self.node(node.test)
        self.kept(_lasting(node.msg) if node.msg else [])
        self.text(")")
        return True

    def _write_AnnAssign(self, node: ast.AnnAssign) -> bool:
        self.text("AnnAssign(")
        self.node(node.target)
        if self.scopes and self.scopes[-1].is_class:  # a field of a data class, perhaps
            self.text(f":{_bare(node.annotation)}")
        if node.value is not None:
            self.text("=")
            self.node(node.value)
        self.text(")")
        return True

    def told(self, node: ast.stmt) -> list[ast.expr] | None:
        """What may have an effect in a statement that only tells; None for any other statement."""
        if isinstance(node, ast.Assign) and all(map(_is_note, node.targets)):
            return list(self.evaluated(node.value))
        if isinstance(node, ast.AugAssign) and _is_note(node.target):
            return list(self.evaluated(node.value))
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            return None
        call = node.value
        name = _dotted(call.func)
        owner, last = name[:-1], name[-1] if name else ""
        is_log = bool(owner) and owner[-1] in LOGS and last in LEVELS
        is_progress = (
            len(owner) == 1 and last in ("start_at", "update") and self._is_progress(owner[0])
        )
        is_note = owner == ["job", "notes"] and last in ("setdefault", "update")
        if not (is_log or is_progress or is_note or (name and self.outside(name) in SPOKEN)):
            return None
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        return [part for each in arguments for part in self.evaluated(each)]

    def _is_progress(self, name: str) -> bool:
        for scope in reversed(self.scopes):
            if name in scope.bound and not scope.is_class:
                return name in scope.progress
        return False

    def evaluated(self, node: ast.AST) -> Iterator[ast.expr]:
        """Parts of a message that call, look up or iterate: everything but names and words."""
        if isinstance(node, ast.Name | ast.Constant | ast.Lambda):
            return
        dotted = _dotted(node) if isinstance(node, ast.Attribute) else []
        if dotted and self.target(dotted) is not None:
            return  # of a module, not of an object
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            target = self.target(name) if name else None
            is_carried = (
                target is not None
                and self.module.is_ours(target[0])
                and any(is_frame(module) for module in (target[0], f"{target[0]}.{target[1]}"))
            )
            if not (name and (self.is_builtin(name, MAKES_TEXT) or is_carried)):
                yield node
                return
            for each in [*node.args, *(keyword.value for keyword in node.keywords)]:
                yield from self.evaluated(each)
            return
        harmless = (ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.BoolOp, ast.UnaryOp)
        more = (ast.Compare, ast.IfExp, ast.Tuple, ast.List, ast.Dict, ast.Set)
        if isinstance(node, (*harmless, *more)):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    yield from self.evaluated(child)
        elif isinstance(node, ast.expr):
            yield node


def _lasting(node: ast.AST) -> Iterator[ast.expr]:
    """Parts of an exception's message that would outlast it: it may be caught."""
    for each in ast.walk(node):
        if isinstance(each, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            yield each
        elif isinstance(each, ast.Call):
            function = each.func
            name = function.attr if isinstance(function, ast.Attribute) else ""
            name = function.id if isinstance(function, ast.Name) else name
            if name in TAKES:
                yield each


def _short(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces with digests in place of long texts, which are compared and not read."""
    return [_digest(piece) if isinstance(piece, str) else piece for piece in pieces]


def _digest(text: str) -> str:
    return f"<{hashlib.sha256(text.encode()).hexdigest()[:40]}>" if len(text) > 42 else text


def _bare(node: Any) -> str:
    """Text of a syntax tree as it stands, the same on all Pythons: empty fields are left out."""
    if isinstance(node, ast.AST):
        fields = (
            f"{name}={_bare(value)}"
            for name, value in ast.iter_fields(node)
            if value not in (None, []) and name not in ("kind", "type_comment", "ctx")
        )
        return f"{type(node).__name__}({','.join(fields)})"
    return f"[{','.join(map(_bare, node))}]" if isinstance(node, list) else repr(node)


def _is_note(target: ast.expr) -> bool:
    """Whether a target is what a job tells its record."""
    if isinstance(target, ast.Subscript):
        target = target.value
    return _dotted(target) == ["job", "notes"]


def _dotted(node: ast.AST) -> list[str]:
    """``a.b.c`` as its names; empty for anything else."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return [node.id, *reversed(attributes)] if isinstance(node, ast.Name) else []


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    starred = [each for each in (arguments.vararg, arguments.kwarg) if each]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred]


def _targets(node: ast.AST) -> Iterator[str]:
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _bindings(body: Iterable[ast.AST]) -> dict[str, list[Any]]:
    """Names that a scope binds -> the statements that do; under ``""`` those that disclaim one."""
    found: dict[str, list[Any]] = {}

    def look(node: ast.AST, statement: ast.AST) -> None:
        names: list[str] = []
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names = [node.id]
        elif isinstance(node, ast.Import):
            names = [a.asname or a.name.partition(".")[0] for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [a.asname or a.name for a in node.names]
        elif isinstance(node, ast.Global | ast.Nonlocal):
            names = [""]
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            names = [node.name] if node.name else []
        elif isinstance(node, ast.MatchMapping):
            names = [node.rest] if node.rest else []
        elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            names = [node.name]
        for name in names:
            found.setdefault(name, []).append(node if isinstance(node, ast.stmt) else statement)
        if isinstance(node, _SCOPES):
            # Inside are other names; but a walrus in a comprehension binds one out here.
            for each in ast.walk(node) if isinstance(node, _COMPREHENSIONS) else ():
                if isinstance(each, ast.NamedExpr):
                    found.setdefault(each.target.id, []).append(statement)
            outside = [*getattr(node, "decorator_list", []), *getattr(node, "bases", [])]
            for each in outside:
                look(each, statement)
            return
        for each in ast.iter_child_nodes(node):
            look(each, each if isinstance(each, ast.stmt) else statement)

    for node in body:
        look(node, node)
    return found


def _first_names(node: ast.stmt) -> Iterator[str]:
    """Names whose attributes or items a top-level statement sets, and those that it changes."""
    for each in ast.walk(node):
        if isinstance(each, ast.AugAssign | ast.Assign | ast.Delete | ast.AnnAssign):
            targets = each.targets if isinstance(each, ast.Assign | ast.Delete) else [each.target]
            for target in targets:
                yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))


def _bound_by(node: ast.stmt) -> list[str]:
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]  # type: ignore[attr-defined]
    names = [name for target in targets for name in _targets(target)]
    return list(dict.fromkeys([*names, *_bindings([node])]))  # with what a walrus binds


def _is_plain_target(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple | ast.List):
        return all(map(_is_plain_target, node.elts))
    return isinstance(node, ast.Name)


def _calls_now(node: ast.AST) -> Iterator[ast.Call]:
    """Calls that a statement makes when it is run: of a function, its defaults'."""
    if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
        for default in (*node.args.defaults, *node.args.kw_defaults):
            yield from _calls_now(default) if default else ()
        return
    if isinstance(node, ast.Call):
        yield node
    for each in ast.iter_child_nodes(node):
        yield from _calls_now(each)


def _lines(node: ast.stmt) -> tuple[int, int]:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)]), node.end_lineno or node.lineno


def _is_type_checking(test: ast.expr) -> bool:
    return _dotted(test) in (["TYPE_CHECKING"], ["typing", "TYPE_CHECKING"])


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and ast.dump(test) == ast.dump(
        ast.parse('__name__ == "__main__"', mode="eval").body
    )


def _is_text(node: ast.AST) -> bool:
    """A bare string: a docstring, also of an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
