"""Where the code of a stage begins: the roots of its digest.

A measure's root is its function, beside what opens its inputs and writes its tables: the runner
that calls them carries jobs and is in no digest, so that nothing leads from the one to the other.
What is chosen by the config (a family of networks, a kind of dataset) is imported by name while the
stage runs: all that such a module defines is a root.
"""

from collections.abc import Iterable, Iterator

from sightlines.plan import registry
from sightlines.plan.code_digest import defines, exists, used_by
from sightlines.plan.recordings import TASK_KINDS

DECLARED = {"measures": "measure", "dumps": "record", "figures": "draw"}
"""The function that a module of each folder holds; a command's is `main`."""
PLACES = ("QUESTION", "STUDY")
"""Where on the page claims and a figure stand."""
TEXTS = ("TITLE", "PAPER", "CAPTION", "EXPLAINS", "DIFFERS", *PLACES)
"""What the report says of a figure: no part of the figure itself."""
RUNNERS = {
    "measures": "measure",
    "dumps": "recording",
    "figures": "figure",
    "claims": "claims",
    "report": "report",
}
"""The module below `run` that opens a folder's inputs and writes its outputs: it is in no digest,
but all that it uses of what computes is."""

IMPORT = "training.import_network"
"""The stage that also reads somebody else's weights, as a module beside the family's says."""


def stage_roots(
    stage: str, family: str = "", dataset: str = "", figures: Iterable[str] = ()
) -> tuple[str, ...]:
    """Roots of a stage's code digest.

    Args:
        stage: Its module below the package, such as ``measures.cka`` or ``training.train``.
        family: Of the network that it runs.
        dataset: Kind of the dataset that it makes.
        figures: Names of the figures on the page that it writes.
    """
    folder, _, name = stage.partition(".")
    function = f"{stage}:{DECLARED.get(folder, 'main')}"
    roots = [function if _is_there(function) else stage]
    if folder in RUNNERS:
        roots += [root.removeprefix(_full("")) for root in used_by(_full(f"run.{RUNNERS[folder]}"))]
        if folder == "measures":
            roots += _opened(name)
            roots += [f"{stage}:{table}" for table in ("TABLES", "FILES")]
    if folder == "report":
        roots += [f"figures.{figure}:{text}" for figure in figures for text in TEXTS]
        roots += [f"claims.{c}:{text}" for c in registry.members("claims") for text in PLACES]
    if folder == "claims":
        roots += [f"claims.{claims}" for claims in registry.members("claims")]
    if dataset:
        roots.append(f"datasets.{dataset}")
    if family:
        roots.append(f"models.{family}")
    if stage == IMPORT:
        roots.append(f"models.{family}_weights")
    return tuple(dict.fromkeys(_full(root) for root in roots if _is_there(root)))


def _opened(measure: str) -> Iterator[str]:
    """What opens the dumps that a measure reads."""
    for read in registry.declarations("measures", measure)["READS"]:
        kind = TASK_KINDS.get(read, read)
        if exists(_full(f"dumps.{kind}")):
            yield registry.declarations("dumps", kind)["READER"].removeprefix(_full(""))


def _is_there(root: str) -> bool:
    module, _, name = root.partition(":")
    return defines(_full(module), name) if ":" in root else exists(_full(module))


def _full(root: str) -> str:
    return f"{registry.PACKAGE.name}.{root}"
