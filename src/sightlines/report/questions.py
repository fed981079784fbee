"""The questions that the page is ordered by, and which claims and figures belong to which.

A module of `claims/` or `figures/` says by a literal, `QUESTION = "places"`, which of QUESTIONS it
is about. One of another work than Raghu et al. 2021 (`STUDY`) has a section of that work instead;
what says neither stands in the last section.
"""

import ast
import functools
from collections.abc import Iterable
from typing import NamedTuple

from sightlines.plan import registry


class Question(NamedTuple):
    """One section of the page.

    Attributes:
        key: As modules name it, and as links do.
        short: For the navigation and the groups of the overview.
        title: The section's heading: a question.
        figures: Those that are seen at once, where the experiment has them; others are folded.
        work: Whose, where it is another work than the paper.
    """

    key: str
    short: str
    title: str
    figures: tuple[str, ...] = ()
    work: str = ""


QUESTIONS = (
    Question(
        "structure",
        "Structure",
        "How alike are layers, within a network and across networks?",
        ("fig01_cka_within", "fig02_cka_across"),
    ),
    Question(
        "local_and_global",
        "Local and global",
        "How far do attention heads look, and how far does a layer depend on the image?",
        ("fig03_attention_distance",),
    ),
    Question(
        "skips", "Skips", "What do skip connections carry?", ("fig07_skip_ratios", "fig08_skipless")
    ),
    Question(
        "places",
        "Places",
        "Do tokens keep what their own place in the image shows?",
        ("fig09_localisation", "fig11_token_probes"),
    ),
    Question(
        "data",
        "Data",
        "What does more training data change, and do probes say so on other images?",
        ("fig12_data_fractions", "fig13_probes_by_depth"),
    ),
    Question(
        "transfer",
        "Transfer",
        "What does fine-tuning leave of what a network was?",
        ("figG1_finetuning",),
    ),
)
LAST = Question(
    "measurement",
    "Measurement",
    "How far can these numbers be trusted?",
    ("specification_curve", "figA_seed_calibration"),
)
"""Of what is about the measuring itself, and of all that names no question."""

FIRST = "raghu2021"
WORKS = {
    "dosovitskiy2020": ("Dosovitskiy et al.", "What do position embeddings and filters show?"),
    "caron2021": (
        "Caron et al.",
        "Are frozen features good neighbours, and does attention find objects?",
    ),
    "naseer2021": (
        "Naseer et al.",
        "How much of an image may be missing, moved or of another texture?",
    ),
    "paul2022": ("Paul and Chen", "How robust are the networks, and at which frequencies?"),
    "lee_thorp2021": (
        "Lee-Thorp et al.",
        "Does mixing tokens without parameters do for attention?",
    ),
}
"""Other works, in the order in which they are shown: short name, and what they ask."""


def all_questions() -> tuple[Question, ...]:
    """Every section in its order: the paper's questions, other works, then LAST."""
    works = [Question(key, short, asks, (), short) for key, (short, asks) in WORKS.items()]
    return (*QUESTIONS, *works, LAST)


def figure_question(name: str) -> str:
    """Key of the section that a figure of this package stands in."""
    return _key(registry.declarations("figures", name))


@functools.cache
def claim_questions() -> dict[str, str]:
    """Claim -> key of its section, of every claim that a module of `claims/` declares.

    Modules are read, not imported: numbers of claims stand in their calls, `Claim(id="C1", …)`.
    """
    found = {}
    for name in registry.members("claims"):
        key = _key(registry.declarations("claims", name))
        tree = ast.parse((registry.PACKAGE / "claims" / f"{name}.py").read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                given = [k.value for k in node.keywords if k.arg == "id"]
                found |= {
                    str(v.value): key
                    for v in given
                    if isinstance(v, ast.Constant) and isinstance(v.value, str)
                }
    return found


def claim_question(claim: str, drawn: str = "") -> str:
    """Key of a claim's section; where no module tells, that of the figure that shows it."""
    known = claim_questions()
    if claim in known:
        return known[claim]
    return figure_question(drawn) if drawn in registry.members("figures") else LAST.key


def _key(declared: dict[str, object]) -> str:
    study = str(declared.get("STUDY", FIRST))
    if study != FIRST and study in WORKS:
        return study
    asked = str(declared.get("QUESTION", LAST.key))
    return asked if asked in {q.key for q in QUESTIONS} else LAST.key


def used(keys: Iterable[str]) -> list[Question]:
    """The questions that some keys name, in their order."""
    wanted = set(keys)
    return [question for question in all_questions() if question.key in wanted]
