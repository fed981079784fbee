"""The questions that the page is ordered by, and which claims and figures belong to which.

A module of `claims/` or `figures/` says by a literal, `QUESTION = "places"`, which of QUESTIONS it
is about. One of another work than Raghu et al. 2021 (`STUDY`) has a section of that work instead;
what says neither stands in the last section.
"""

import ast
import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sightlines.plan import registry
from sightlines.plan.studies import FIRST, STUDIES, study_of


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


def all_questions() -> tuple[Question, ...]:
    """Every section in its order: the paper's questions, other works, then LAST."""
    works = [
        Question(key, _surnames(own["short"]), own["asks"], (), own["short"])
        for key, own in STUDIES.items()
        if key != FIRST
    ]
    return (*QUESTIONS, *works, LAST)


def _surnames(short: str) -> str:
    """Of "Naseer et al. 2021" what stands before the year."""
    return short.rpartition(" ")[0]


def figure_question(name: str) -> str:
    """Key of the section that a figure of this package stands in."""
    return _key(registry.declarations("figures", name))


@functools.cache
def claim_questions() -> dict[str, str]:
    """Claim -> key of its section, of every claim that a module of `claims/` declares.

    Modules are read, not imported: numbers of claims stand in their calls, `Claim(id="C1", …)`.
    """
    found: dict[str, str] = {}
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


def claim_question(claim: str, study: str = FIRST, drawn: str = "") -> str:
    """Key of a claim's section: its study's, or the question that its module names.

    Args:
        claim: Its number.
        study: As ``claims.csv`` has it.
        drawn: The figure that shows it, which decides where no module declares the claim.
    """
    if study != FIRST and study in STUDIES:
        return study
    if known := claim_questions().get(claim):
        return known
    return figure_question(drawn) if drawn in registry.members("figures") else LAST.key


def _key(declared: Mapping[str, Any]) -> str:
    study = study_of(declared)
    if study != FIRST:
        return study
    asked = str(declared.get("QUESTION", LAST.key))
    if asked not in {question.key for question in (*QUESTIONS, LAST)}:
        raise KeyError(
            f"there is no question {asked!r}; QUESTION is one of "
            f"{', '.join(question.key for question in QUESTIONS)}"
        )
    return asked


def used(keys: Iterable[str]) -> list[Question]:
    """The questions that some keys name, in their order."""
    wanted = set(keys)
    return [question for question in all_questions() if question.key in wanted]
