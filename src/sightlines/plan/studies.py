"""The works whose experiments are made here: a study is one of them, with its claims and figures.

A module of `claims/` or `figures/` says whose it is by `STUDY`, a literal at its top level; without
it, it is of the paper that all of this began with (`FIRST`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sightlines.plan import registry

if TYPE_CHECKING:
    from sightlines.plan.config_types import Config

FIRST = "raghu2021"
"""The study of a module that names none."""

STUDIES: dict[str, dict[str, str]] = {
    "raghu2021": {
        "title": "Do Vision Transformers See Like Convolutional Neural Networks?",
        "authors": "Raghu, Unterthiner, Kornblith, Zhang and Dosovitskiy",
        "published": "NeurIPS 2021",
        "arxiv": "2108.08810",
        "short": "Raghu et al. 2021",
        "asks": "What do layers of vision transformers and of convolutional networks represent?",
    },
    "dosovitskiy2020": {
        "title": "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
        "authors": "Dosovitskiy, Beyer, Kolesnikov, Weissenborn, Zhai, Unterthiner, Dehghani, "
        "Minderer, Heigold, Gelly, Uszkoreit and Houlsby",
        "published": "ICLR 2021",
        "arxiv": "2010.11929",
        "short": "Dosovitskiy et al. 2020",
        "asks": "What do a vision transformer's position embeddings, filters and attention show?",
    },
    "caron2021": {
        "title": "Emerging Properties in Self-Supervised Vision Transformers",
        "authors": "Caron, Touvron, Misra, Jégou, Mairal, Bojanowski and Joulin",
        "published": "ICCV 2021",
        "arxiv": "2104.14294",
        "short": "Caron et al. 2021",
        "asks": "Are frozen features good neighbours, and does attention outline objects?",
    },
    "naseer2021": {
        "title": "Intriguing Properties of Vision Transformers",
        "authors": "Naseer, Ranasinghe, Khan, Hayat, Khan and Yang",
        "published": "NeurIPS 2021",
        "arxiv": "2105.10497",
        "short": "Naseer et al. 2021",
        "asks": "How much of an image may be missing, moved or of the wrong texture?",
    },
    "paul2022": {
        "title": "Vision Transformers are Robust Learners",
        "authors": "Paul and Chen",
        "published": "AAAI 2022",
        "arxiv": "2105.07581",
        "short": "Paul and Chen 2022",
        "asks": "Are vision transformers more robust, and at which frequencies?",
    },
    "lee_thorp2021": {
        "title": "FNet: Mixing Tokens with Fourier Transforms",
        "authors": "Lee-Thorp, Ainslie, Eckstein and Ontañón",
        "published": "NAACL 2022",
        "arxiv": "2105.03824",
        "short": "Lee-Thorp et al. 2021",
        "asks": "Does mixing tokens without parameters suffice in the place of attention?",
    },
}
"""Every study in the order in which it is shown: its title, authors, where it was published, its
number at arXiv, its short name, and what it asks, in one sentence."""


def study_of(declared: Mapping[str, Any]) -> str:
    """The study that a module of `claims` or `figures` belongs to.

    Args:
        declared: What it declares (`registry.declarations`).

    Raises:
        KeyError: it names one that there is not.
    """
    study: str = declared.get("STUDY", FIRST)
    if study not in STUDIES:
        raise KeyError(f"there is no study {study!r}; STUDY is one of {', '.join(STUDIES)}")
    return study


def asked(folder: str, config: "Config") -> list[str]:
    """Modules of `claims` or `figures` whose study a config asks for, sorted by name."""
    found = {
        name: study_of(registry.declarations(folder, name)) for name in registry.members(folder)
    }
    return [name for name, study in found.items() if study in config.studies]
