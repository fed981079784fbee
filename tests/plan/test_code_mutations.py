"""One operator, comparison, number or word of the code is changed at a time.

The digest of a stage changes exactly where the change lies in what the stage can reach, and is not
in words for people. That nothing is reached beyond that, tests/workflow/test_reach.py shows.
"""

import ast
import functools
import random
import shutil

import pytest

from sightlines.plan import code_digest as module
from sightlines.plan import registry
from sightlines.plan.code_digest import code_digest, reached
from sightlines.plan.code_roots import stage_roots
from tests.type_checks import unchecked

pytestmark = pytest.mark.whole  # hundreds of digests


@functools.cache
def stages():
    """Stage -> its roots, which are found in all of the package's sources, as they first are."""
    return {
        "train": stage_roots("training.train", "vit"),
        "import": stage_roots("training.import_network", "timm"),
        "prepare": stage_roots("datasets.prepare", dataset="shapes"),
        "split": stage_roots("datasets.split"),
        "dump": stage_roots("dumps.attention", "vit"),
        "gram": stage_roots("dumps.gram", "resnet"),
        "cka": stage_roots("measures.cka"),
        "probes": stage_roots("measures.probes"),
        "accuracy": stage_roots("measures.accuracy"),
        "draw": stage_roots("figures.fig01_cka_within"),
        "judge": stage_roots("claims.judge"),
        "report": stage_roots("report.page", figures=["fig01_cka_within"]),
    }


SAMPLE = 8
"""Changes of each module."""
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.USub: ast.UAdd,
}
ERRORS = {"ValueError", "KeyError", "TypeError", "RuntimeError", "IndexError", "LookupError"}
SAID = ("log", "_log")


def places(tree):
    """(node, field, position or None, changed value, whether it is words for people)."""
    found = []

    def look(node, said):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            last = name.split(".")[-1]
            owner = name.split(".")[-2:-1]
            is_error = last in ERRORS or last in OUR_ERRORS
            told = said or is_error or (owner and owner[0] in SAID) or last == "Progress"
            told = told or name == "progress.update"
            look(node.func, said)
            for each in [*node.args, *(k.value for k in node.keywords)]:
                look(each, told)
            return
        if isinstance(node, ast.Assert):
            look(node.test, said)
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TABLES":
            return  # names and types count, meanings do not: test_code_digest.py
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "type_comment"):
                continue
            for position, each in enumerate(value if isinstance(value, list) else [value]):
                where = position if isinstance(value, list) else None
                if type(each) in OPERATORS:
                    found.append((node, field, where, OPERATORS[type(each)](), said))
                elif isinstance(each, ast.Constant) and each.value is not Ellipsis:
                    found.append((node, field, where, ast.Constant(other(each.value)), said))
                elif isinstance(each, ast.AST):
                    look(each, said)

    look(tree, said=False)
    return found


def other(value):
    """Another constant of the same kind."""
    if isinstance(value, bool) or value is None:
        return not value
    return value + {str: "~", bytes: b"~"}.get(type(value), 1)


OUR_ERRORS = {
    node.name
    for node in ast.parse((registry.PACKAGE / "core" / "errors.py").read_text()).body
    if isinstance(node, ast.ClassDef)
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package, whose sources may be changed, where a run of the package was before.

    What that run remembers of the package's own text must count for no other.
    """
    folder = tmp_path_factory.mktemp("code")
    shutil.copytree(registry.PACKAGE, folder / "sightlines")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("run"))
        digests()
        module.keep_parts()
        patch.setattr(module, "ROOT", folder)
        module.forget()
        yield folder / "sightlines"
    module.forget()


@pytest.fixture(scope="module")
def covered(package):
    """Stage -> what it reaches."""
    return {stage: reached(*roots) for stage, roots in stages().items()}


def digests():
    """Stage -> its digest, without checks of types, as `test_code_digest` has them."""
    module.forget()
    with unchecked():
        return {stage: code_digest(*roots) for stage, roots in stages().items()}


MODULES = (
    "core.files",
    "core.seeds",
    "core.precision",
    "stats.hsic",
    "stats.ridge",
    "measures.cka",
    "measures.accuracy",
    "dumps.reading",
    "dumps.attention_statistics",
    "datasets.split",
    "datasets.shapes_scene",
    "models.vit",
    "models.timm_blocks",
    "training.training",
    "training.augment",
    "figures.fig01_cka_within",
    "claims.verdict",
    "report.template",
)


@pytest.mark.parametrize("name", MODULES)
def test_a_change_counts_where_it_is_reached(package, covered, name):
    path = package.joinpath(*name.split(".")).with_suffix(".py")
    before = path.read_text()
    full = f"sightlines.{name}"
    try:
        path.write_text(ast.unparse(ast.parse(before)))
        first = digests()
        tree = ast.parse(before)
        found = places(tree)
        assert found
        for node, field, position, changed, said in random.Random(name).sample(
            found, min(SAMPLE, len(found))
        ):
            line = statement(tree, node)
            kept = getattr(node, field)
            put(node, field, position, changed)
            path.write_text(ast.unparse(tree))
            setattr(node, field, kept)
            now = digests()
            inside = {
                stage: any(s.module == full and s.first <= line <= s.last for s in spans)
                for stage, spans in covered.items()
            }
            differ = {stage: now[stage] != first[stage] for stage in stages()}
            told = f"{name}:{line} {ast.dump(changed)}"
            if not said:
                assert differ == inside, told
            else:  # words count nowhere, what is evaluated for them may
                assert not [s for s in stages() if differ[s] and not inside[s]], told
                if isinstance(changed, ast.Constant) and isinstance(node, ast.JoinedStr):
                    assert not any(differ.values()), told
    finally:
        path.write_text(before)


def statement(tree, node):
    """First line of the top-level statement that a node stands in."""
    for each in tree.body:
        if any(inner is node for inner in ast.walk(each)):
            return each.lineno
    raise AssertionError(node)


def put(node, field, position, value):
    if position is None:
        setattr(node, field, value)
    else:
        items = list(getattr(node, field))
        items[position] = value
        setattr(node, field, items)


@pytest.mark.parametrize(
    ("stage", "file", "before", "after"),
    [
        ("training.train", "datasets/photographs", '"empty file"', '"nothing in it"'),
        ("training.train", "datasets/content_kinds", '"convert it to JPEG', '"make it a JPEG'),
        ("training.train", "plan/registry", "it is read without importing", "it is read without"),
        ("measures.cka", "results/tables", "lacks the columns", "is without the columns"),
    ],
)
def test_no_words_of_ours_make_a_result_anew(package, stage, file, before, after):
    roots = stage_roots(stage, "vit" if stage == "training.train" else "")
    module.forget()
    first = code_digest(*roots)
    path = package / f"{file}.py"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    module.forget()
    assert code_digest(*roots) == first
    path.write_text(text)
