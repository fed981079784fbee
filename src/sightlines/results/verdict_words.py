"""The words of verdicts, from best to worst; what they mean stands in `claims/verdict.py`."""

from collections.abc import Iterable

LEARNED, INITIAL, HOLDS = "holds, learned", "holds at initialisation", "holds"
DEPENDS = "depends on the architecture"
LOST, FAILS = "lost in training", "does not hold"
UNDECIDED, ONE_RUN = "undecided", "one run"
OUT_OF_REACH, NOT_RUN = "out of reach", "not run"
VERDICTS = (
    LEARNED,
    INITIAL,
    HOLDS,
    DEPENDS,
    LOST,
    FAILS,
    UNDECIDED,
    ONE_RUN,
    OUT_OF_REACH,
    NOT_RUN,
)
DECISIVE = (LEARNED, INITIAL, HOLDS, DEPENDS, LOST, FAILS)
"""Words that say what is true of the networks, not that it is open."""

OVER_ALL, OVER_IMAGES, OVER_NETWORKS = "images and seeds", "images", "images and networks"
"""What an interval is over: with several seeds; of one run; of what is asked of the estimator,
whatever the networks (V1, V2), to which seeds do not matter."""

IN_THIS_RUN = {
    "holds": ("holds in it", "hold in it"),
    "fails": ("fails in it", "fail in it"),
    "differs": ("differs between networks", "differ between networks"),
    "unclear": ("is unclear even so", "are unclear even so"),
}
"""What networks of one run show by intervals over images: as `claims.csv` has it, and in words."""


def of_one_run(shown: Iterable[str]) -> str:
    """How claims of one run came out in it: "2 hold in it, 1 fails in it".

    Args:
        shown: `in_this_run` of each of them.
    """
    found = [*shown]
    counts = [(found.count(key), *words) for key, words in IN_THIS_RUN.items()]
    return ", ".join(f"{n} {one if n == 1 else several}" for n, one, several in counts if n)
