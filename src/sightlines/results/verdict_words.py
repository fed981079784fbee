"""The words of verdicts, from best to worst; what they mean stands in `claims/verdict.py`."""

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
