import ast
import json
import os

import pytest

from sightlines.plan import code_digest as module
from sightlines.plan import registry
from sightlines.plan.code_digest import (
    changed_since,
    code_digest,
    code_parts,
    keep_parts,
    reached,
    stage_digest,
)
from sightlines.plan.code_roots import stage_roots

DYNAMIC = (
    "importlib.import_module",
    "import_module",
    "__import__",
    "exec",
    "eval",
    "runpy.run_module",
)
ENTRY = """
import logging
import numpy as np
from toy import middle
from toy.core.errors import ToyError
from toy.core.progress import Progress

log = logging.getLogger(__name__)
CAPTION = "A caption."


class Rows:
    '''Doc.'''

    size: int = 3

    def twice(self):
        return self.size * 2


def f(x, job=None):
    '''Doc.'''
    progress = Progress(len(x), "rows")
    if not x:
        raise ToyError(f"no rows in {x!r}: add some")
    if x == [0]:
        raise ValueError("a zero")
    log.info(f"{len(x)} rows")
    progress.update(1, "half")
    job.notes["rows"] = 3
    return middle.g(np.sum(x)) + Rows().twice()


def unused():
    return 5
"""
MIDDLE = """
from toy.leaf import h


def g(x: int) -> int:
    return h(x) + 1


def other():
    return 2
"""
LEAF = """
LIMIT = 4


def h(x):
    return min(x, LIMIT)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "toy"
    for name, text in {
        "__init__": "",
        "entry": ENTRY,
        "middle": MIDDLE,
        "leaf": LEAF,
        "alone": "A = 1\n",
        "core/__init__": "",
        "core/errors": "class ToyError(Exception):\n    pass\n",
        "core/progress": "class Progress:\n    pass\n",
    }.items():
        path = root / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PACKAGE", root)
    monkeypatch.chdir(tmp_path)
    module.forget()
    yield root
    module.forget()


def digest(*roots):
    module.forget()
    return code_digest(*(roots or ("toy.entry:f",)))


def edit(package, name, before, after):
    path = package / f"{name}.py"
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("entry", "* 2", "* 3"),
        ("entry", "size: int = 3", "size: int = 4"),
        ("entry", "class Rows:", "class Rows(dict):"),
        ("entry", "np.sum", "np.mean"),
        ("entry", "import numpy as np", "import math as np"),
        ("entry", "if not x", "if x"),
        ("entry", "raise ToyError", "raise ValueError"),
        ("entry", "def f(x, job=None)", "def f(x, job=1)"),
        ("middle", "+ 1", "- 1"),
        ("middle", "from toy.leaf import h", "from toy.alone import A as h"),
        ("leaf", "LIMIT = 4", "LIMIT = 5"),
        ("leaf", "min(", "max("),
        ("leaf", "LIMIT = 4", "LIMIT = 4\nLIMIT += 1"),
        ("leaf", "LIMIT = 4", "LIMIT = 4\nprint(LIMIT)"),
        ("leaf", "LIMIT = 4", "LIMIT = 4\nif h:\n    LIMIT = 5"),
        ("leaf", "def h(x)", "@print\ndef h(x)"),
        ("entry", 'log.info(f"{len(x)} rows")', 'log.info(f"{x.pop()} rows")'),
        ("entry", 'log.info(f"{len(x)} rows")', 'log.info(f"{(x := [2])} rows")'),
        ("entry", 'job.notes["rows"] = 3', 'job.notes["rows"] = x.pop()'),
        ("entry", '"a zero"', "x.pop()"),
    ],
)
def test_what_a_result_may_depend_on_counts(package, name, before, after):
    first = digest()
    edit(package, name, before, after)
    assert digest() != first


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("entry", "return 5", "return 6"),
        ("entry", '"A caption."', '"Another."'),
        ("entry", "'''Doc.'''\n    progress", "'''Another.'''  # remark\n    progress"),
        ("entry", "no rows in {x!r}: add some", "there are none"),
        ("entry", '"a zero"', '"nothing"'),
        ("entry", "{len(x)} rows", "rows: {len(x):>5}"),
        ("entry", '    log.info(f"{len(x)} rows")\n', ""),
        ("entry", 'Progress(len(x), "rows")', 'Progress(len(x), "lines")'),
        ("entry", ', "half")', ', "in the middle")'),
        ("entry", 'job.notes["rows"] = 3', 'job.notes["lines"] = 4'),
        ("middle", "x: int) -> int", "x: float) -> float"),
        ("middle", "return 2", "return 3"),
        ("core/errors", "    pass", "    code = 3"),
        ("core/progress", "    pass", "    every_s = 3"),
        ("alone", "A = 1", "A = 2"),
    ],
)
def test_what_changes_no_result_does_not_count(package, name, before, after):
    first = digest()
    edit(package, name, before, after)
    assert digest() == first


def test_a_definition_that_moves_reruns_nothing(package):
    first = digest()
    (package / "leaf.py").write_text("LIMIT = 4\n")
    moved = "from toy.leaf import LIMIT as MOST\n" + LEAF.replace("LIMIT = 4", "")
    (package / "moved.py").write_text(moved.replace("LIMIT)", "MOST)"))
    edit(package, "middle", "toy.leaf", "toy.moved")
    assert digest() == first
    (package / "entry.py").write_text(
        ENTRY.replace("\n\ndef unused():\n    return 5\n", "") + MIDDLE
    )
    assert digest() == first


def test_names_that_one_statement_binds_are_told_apart(package):
    (package / "leaf.py").write_text("a, b = 1, 2\n\ndef h(x):\n    return a\n")
    first = digest()
    edit(package, "leaf", "return a", "return b")
    assert digest() != first


@pytest.mark.parametrize(
    "way",
    [
        "from . import alone\n    return alone.A",
        "from toy import alone\n    return alone.A",
        "import toy.alone\n    return toy.alone.A",
        "from toy.alone import A\n    return A",
        'from toy import alone\n    return getattr(alone, "A")',
        "from toy import alone\n    return vars(alone)",
        'return subprocess.run(["python", "-m", "toy.alone"])',
        'return "toy.alone:A"',
        "return [A for A in (1,)] + [A]",
    ],
)
def test_every_way_to_another_module_counts(package, way):
    start = "from toy.alone import A\n" if way.startswith("return [A") else ""
    (package / "entry.py").write_text(f"{start}def f():\n    {way}\n")
    first = digest()
    (package / "alone.py").write_text("A = 3\n")
    assert digest() != first


@pytest.mark.parametrize(
    "way", ["globals()['B']", "eval('B')", "f.__globals__['B']", "sys.modules[__name__].B"]
)
def test_code_that_looks_names_up_counts_with_its_whole_module(package, way):
    (package / "entry.py").write_text(f"import sys\nB = 1\n\ndef f():\n    return {way}\n")
    first = digest()
    edit(package, "entry", "B = 1", "B = 2")
    assert digest() != first


@pytest.mark.parametrize(
    ("way", "counts"),
    [
        ("importlib.import_module('json')", False),
        ("sys.modules['json']", False),
        ("inspect.signature(g)", False),
        ("inspect.getsource(g)", True),
        ("g.__doc__", True),
    ],
)
def test_words_count_only_where_code_reads_itself(package, way, counts):
    (package / "entry.py").write_text(
        "import importlib, inspect, sys\n\ndef g():\n    '''Doc.'''\n    raise ValueError('a zero')"
        f"\n\ndef f():\n    return {way}\n"
    )
    first = digest()
    edit(package, "entry", "'''Doc.'''", "'''Another.'''")
    edit(package, "entry", "a zero", "nothing")
    assert (digest() != first) == counts


def test_no_message_of_the_registry_reruns_what_it_loads_for(package):
    (package / "plan").mkdir()
    (package / "plan" / "registry.py").write_text(
        "import importlib\n\ndef load(folder, name):\n    '''Doc.'''\n"
        "    if not name:\n        raise KeyError('no name')\n"
        "    return importlib.import_module(name)\n\ndef attribute(place):\n"
        "    return importlib.import_module(place)\n"
    )
    (package / "plan" / "__init__.py").write_text("")
    (package / "entry.py").write_text(
        "from toy.plan import registry\n\ndef f():\n    return registry.load('toys', 'a')\n"
    )
    first = digest()
    edit(package, "plan/registry", "'''Doc.'''", "'''Another.'''")
    edit(package, "plan/registry", "no name", "which?")
    edit(package, "plan/registry", "import_module(place)", "import_module(place[1:])")
    assert digest() == first
    edit(package, "plan/registry", "import_module(name)", "import_module(name[1:])")
    assert digest() != first


def test_names_of_a_function_s_own_are_not_its_module_s(package):
    (package / "entry.py").write_text(
        "from toy.alone import A\n\ndef f(A):\n    return [A, lambda: A, [A for _ in A]]\n"
    )
    first = digest()
    (package / "alone.py").write_text("A = 3\n")
    assert digest() == first


@pytest.mark.parametrize(
    "text",
    [
        "def keep(function):\n    KEPT.append(function)\n    return function\n\n"
        "@keep\ndef one():\n    return 1\n",
        "def keep(function):\n    return function\n\nONE = keep(1)\n",
        "class Base:\n    def __init_subclass__(cls):\n        print(cls)\n\n"
        "class One(Base):\n    one = 1\n",
        "class Kind(type):\n    pass\n\nclass Base(metaclass=Kind):\n    pass\n\n"
        "class One(Base):\n    one = 1\n",
        "KEPT = []\n\nclass One:\n    KEPT.append(1)\n",
        "KEPT = []\n\ndef one(kept=KEPT.append(1)):\n    return kept\n",
        "class Kept:\n    def __set_name__(self, owner, name):\n        print(owner)\n\n"
        "    def __init__(self, value):\n        self.value = value\n\n"
        "class One:\n    one = Kept(1)\n",
    ],
)
def test_what_happens_when_a_module_is_loaded_counts(package, text):
    (package / "leaf.py").write_text(LEAF + "\n\n" + text)
    first = digest()
    (package / "leaf.py").write_text((LEAF + "\n\n" + text).replace("1", "2"))
    assert digest() != first


def test_a_star_and_a_loop_of_imports(package):
    edit(package, "middle", "from toy.leaf import h", "from toy.leaf import *")
    edit(package, "leaf", "LIMIT = 4", "from toy.middle import other\nLIMIT = 4")
    edit(package, "leaf", "min(x, LIMIT)", "min(x, LIMIT) + other()")
    first = digest()
    edit(package, "leaf", "LIMIT = 4", "LIMIT = 5")
    second = digest()
    edit(package, "middle", "return 2", "return 3")
    assert len({first, second, digest()}) == 3


def test_a_module_is_all_that_it_defines(package):
    first = digest("toy.entry")
    edit(package, "entry", "return 5", "return 6")
    second = digest("toy.entry")
    edit(package, "entry", "A caption.", "Another.")
    assert len({first, second, digest("toy.entry")}) == 3


def test_roots_that_are_not_there_are_errors(package):
    with pytest.raises(ModuleNotFoundError, match=r"toy\.nowhere"):
        code_digest("toy.nowhere:f")
    with pytest.raises(AttributeError, match=r"toy\.entry defines no g"):
        code_digest("toy.entry:g")


def test_which_definitions_changed(package):
    first = digest()
    keep_parts()
    assert changed_since(first) == []
    edit(package, "leaf", "min(", "max(")
    edit(package, "entry", "return 5", "return 6")
    module.forget()
    assert changed_since(first) == ["toy.leaf:h"]
    assert set(code_parts(first)) == {f"{r.module}:{r.name}" for r in reached("toy.entry:f")}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"parts": 3}', '{"a": {"b": 1}}'])
def test_a_damaged_cache_is_ignored(package, damage):
    first = digest()
    keep_parts()
    for path in (package.parent / module.CACHE).iterdir():
        path.write_text(damage)
    module._earlier.cache_clear()
    assert digest() == first
    module.forget()
    assert code_parts(first) == {}
    assert changed_since(first) == []


def test_what_was_found_of_the_same_text_is_not_followed_again(package, monkeypatch):
    first, leaf = digest(), digest("toy.leaf")
    keep_parts()
    assert digest() == first
    keep_parts()
    module.forget()
    monkeypatch.setattr(module, "_Walk", None)
    assert [code_digest("toy.entry:f"), code_digest("toy.leaf")] == [first, leaf]
    assert changed_since(first) == [] and "toy.leaf:h" in code_parts(first)


def stage():
    """A stage's digest, and how often its roots were looked for."""
    asked = []
    module.forget()
    found = stage_digest(["entry", "vit"], lambda: asked.append(1) or ("toy.entry:f",))
    keep_parts()
    return found, len(asked)


def test_roots_of_a_stage_are_found_once_for_one_text(package):
    first = digest()
    assert stage() == (first, 1)
    assert stage() == (first, 0)
    edit(package, "alone", "1", "2")  # anything of the package may say what the roots are
    assert stage() == (first, 1)
    edit(package, "leaf", "min(", "max(")
    second, asked = stage()
    assert second != first and asked == 1
    assert stage() == (second, 0)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"content": "", "digests": {}}'])
def test_a_damaged_memory_of_stages_is_ignored(package, damage):
    first = stage()
    (package.parent / module.CACHE / module.DIGESTS).write_text(damage)
    assert stage() == first
    (package.parent / module.CACHE / f"{first[0]}.json").unlink()
    assert stage() == first


@pytest.mark.parametrize("edited", ["leaf", "core/progress", "alone", "new"])
def test_what_was_found_of_another_text_is_found_anew(package, edited):
    first = digest()
    keep_parts()
    path = package / f"{edited}.py"
    text = path.read_text() if path.exists() else ""
    path.write_text(f"{text}\nassert __name__\n")
    now = digest()
    assert (now != first) == (edited == "leaf")
    keep_parts()
    path.write_text(text)
    assert digest() == first
    path.write_text(f"{text}\nassert __name__\n")
    assert digest() == now


def test_what_was_found_while_somebody_edited_is_not_kept(package):
    first = digest()
    edit(package, "leaf", "LIMIT = 4", "LIMIT = 5")
    keep_parts()
    assert not (package.parent / module.CACHE / module.DIGESTS).exists()
    assert digest() != first


@pytest.fixture
def soon(monkeypatch):
    """The files' times are trusted at once, so that no test waits for two seconds."""
    monkeypatch.setattr(module, "SETTLED_NS", 0)


def test_a_job_reads_no_file_whose_times_are_those_of_the_plan(package, soon, monkeypatch):
    first = digest()
    keep_parts()
    module.forget()
    monkeypatch.setattr(module, "_read_content", lambda: pytest.fail("reads the package"))
    assert changed_since(first) == []


@pytest.mark.parametrize("edited", ["leaf", "new", "gone"])
def test_an_edit_of_equal_size_and_date_is_seen_in_a_job(package, soon, edited):
    first = digest()
    keep_parts()
    assert (package.parent / module.CACHE / module.STAMPS).exists()
    path = package / "leaf.py"
    status, text = path.stat(), path.read_text()
    if edited == "leaf":
        assert text.count("LIMIT = 4") == 1
        path.write_text(text.replace("LIMIT = 4", "LIMIT = 5"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (
            status.st_size,
            status.st_mtime_ns,
        )
    elif edited == "new":
        (package / "leaf").mkdir()
        (package / "leaf" / "__init__.py").write_text(text.replace("LIMIT = 4", "LIMIT = 5"))
    else:
        path.unlink()
    module.forget()
    assert changed_since(first) != []


def test_by_times_of_the_last_seconds_no_text_is_remembered(package):
    digest()
    keep_parts()
    assert not (package.parent / module.CACHE / module.STAMPS).exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"0": 1}'])
def test_a_damaged_memory_of_times_is_ignored(package, soon, damage):
    first = digest()
    keep_parts()
    (package.parent / module.CACHE / module.STAMPS).write_text(damage)
    module.forget()
    assert changed_since(first) == [] and digest() == first


def test_a_digest_whose_parts_are_gone_is_found_anew(package):
    first = digest()
    keep_parts()
    (package.parent / module.CACHE / f"{first}.json").unlink()
    assert digest() == first
    assert "toy.leaf:h" in code_parts(first)


def test_what_an_older_version_kept_is_read(package):
    path = package.parent / module.CACHE / "0123456789abcdef.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"toy.leaf": "0" * 12}))
    assert code_parts("0123456789abcdef") == {"toy.leaf": "0" * 12}


def test_what_the_package_offers_to_notebooks_counts_nowhere(package):
    first = digest()
    (package / "__init__.py").write_text("from toy.alone import A\n\nassert A\nmiddle = A\n")
    assert digest() == first


@pytest.mark.whole
def test_the_only_dynamic_import_is_the_registry():
    """An import by name escapes the digest, so there is one place for it.

    models/module.py imports a user's own network, whose digest is a value of its own (OWN_CODE).
    The package's own file resolves what notebooks import, and no job does. models/lean.py and
    jobs/warm.py import libraries by name, which are outside the package;
    start.py runs the module that its caller, a rule, names and has the digest of.
    """
    dynamic = set()
    for path in registry.PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in DYNAMIC:
                dynamic.add((path.relative_to(registry.PACKAGE).as_posix(), called))
    assert dynamic == {
        ("__init__.py", "importlib.import_module"),
        ("plan/registry.py", "importlib.import_module"),
        ("models/lean.py", "importlib.import_module"),
        ("models/module.py", "importlib.import_module"),
        ("jobs/start.py", "runpy.run_module"),
        ("jobs/warm.py", "__import__"),
    }


def test_package_files_are_empty():
    """All but the package's own, which names what notebooks import, and counts nowhere."""
    filled = [p for p in registry.PACKAGE.rglob("__init__.py") if p.read_text().strip()]
    assert filled == [registry.PACKAGE / "__init__.py"]


@pytest.mark.whole
def test_what_a_figure_says_is_the_page_s():
    figure = "fig01_cka_within"
    texts = {(f"sightlines.figures.{figure}", name) for name in ("CAPTION", "TITLE")}
    drawn = {(r.module, r.name) for r in reached(*stage_roots(f"figures.{figure}"))}
    page = {(r.module, r.name) for r in reached(*stage_roots("report.page", figures=[figure]))}
    assert not texts & drawn
    assert texts <= page
    assert ("sightlines.report.template", "PAGE") in page


@pytest.mark.whole
def test_on_how_many_threads_measures_add_counts():
    found = {(r.module, r.name) for r in reached(*stage_roots("measures.cka"))}
    assert ("sightlines.core.threads", "one_thread") in found


@pytest.mark.whole  # what every module reaches
@pytest.mark.parametrize("folder", ["measures", "figures", "dumps"])
def test_no_member_reaches_the_frame_or_all_members(folder):
    every = {f"{folder}.{name}" for name in registry.members(folder)}
    for name in registry.members(folder):
        roots = stage_roots(f"{folder}.{name}", "vit")
        found = {r.module.partition(".")[2] for r in reached(*roots)}
        assert not [m for m in found if m.startswith(("jobs.", "run.", "sharing."))]
        assert len(found & every) < 4


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ("how far", "how near", False),
        ("Rows of a toy", "A toy", False),
        ('"px"', '"mm"', False),
        ('"float"', '"float32"', True),
        ('"distance"', '"length"', True),
        (', "optional"', "", True),
        ("the network", "a network", False),
        ('"layer", "index"', '"index", "layer"', True),
    ],
)
def test_of_a_table_s_schema_names_and_types_count(package, before, after, counts):
    (package / "alone.py").write_text(
        'TABLES = {"toy.csv": {"about": "Rows of a toy", "row": "row", "columns": ('
        '("distance", "float", "px", "how far", "optional"), "block")}, "other.csv": '
        '{"columns": ("network", "block", "layer", "index")}}\n'
        'FILES = {"toy.safetensors": {"about": "Rows of the network"}}\n'
    )
    module.forget()
    declared = ("toy.alone:TABLES", "toy.alone:FILES")
    first = code_digest(*declared)
    edit(package, "alone", before, after)
    assert (digest(*declared) != first) == counts
