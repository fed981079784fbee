import ast

import pytest

from sightlines.plan import code_digest as module
from sightlines.plan import registry
from sightlines.plan.code_digest import code_digest

DYNAMIC = (
    "importlib.import_module",
    "import_module",
    "__import__",
    "exec",
    "eval",
    "runpy.run_module",
)


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "toy"
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "entry.py").write_text("from toy import middle\n\ndef f():\n    return middle.g()\n")
    (root / "middle.py").write_text("from toy.leaf import h\n\ndef g():\n    return h(1)\n")
    (root / "leaf.py").write_text('"""Doc."""\n\ndef h(x):\n    """Doc."""\n    return x + 1\n')
    (root / "other.py").write_text("A = 1\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PACKAGE", root)
    module._parse.cache_clear()
    yield root
    module._parse.cache_clear()


def digest():
    module._parse.cache_clear()
    return code_digest("toy.entry")


@pytest.mark.parametrize(
    ("name", "text", "changes"),
    [
        ("leaf", 'def h(x):\n    """Other doc."""\n    # comment\n    return (x + 1)\n', False),
        ("leaf", '"""Doc."""\n\ndef h(x):\n    """Doc."""\n    return x + 2\n', True),
        ("middle", "from toy.leaf import h\n\ndef g():\n    return h(2)\n", True),
        ("other", "A = 2\n", False),
        ("__init__", "X = 1\n", True),
    ],
)
def test_what_changes_the_digest(package, name, text, changes):
    before = digest()
    (package / f"{name}.py").write_text(text)
    assert (digest() != before) == changes


def test_relative_and_late_imports_count(package):
    (package / "entry.py").write_text("def f():\n    from . import other\n    return other.A\n")
    before = digest()
    (package / "other.py").write_text("A = 3\n")
    assert digest() != before


def test_an_unknown_module_is_an_error(package):
    with pytest.raises(ModuleNotFoundError, match=r"toy\.nowhere"):
        code_digest("toy.nowhere")


def test_the_only_dynamic_import_is_the_registry():
    """An import by name escapes the digest, so there is one place for it.

    models/lean.py and jobs/warm.py import libraries by name, which are outside the package;
    start.py runs the module that its caller, a rule, names and has the digest of.
    """
    dynamic = set()
    for path in registry.PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in DYNAMIC:
                dynamic.add((path.relative_to(registry.PACKAGE).as_posix(), called))
    assert dynamic == {
        ("plan/registry.py", "importlib.import_module"),
        ("models/lean.py", "importlib.import_module"),
        ("jobs/start.py", "runpy.run_module"),
        ("jobs/warm.py", "__import__"),
    }


def test_package_files_are_empty():
    filled = [p for p in registry.PACKAGE.rglob("__init__.py") if p.read_text().strip()]
    assert filled == []
