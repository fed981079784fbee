"""The words of verdicts, from best to worst; what they mean stands in `claims/verdict.py`."""

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, UNINFORMATIVE, NOT_RUN = "inconclusive", "uninformative", "not run"
OUT_OF_REACH = "out of reach"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, UNINFORMATIVE, OUT_OF_REACH, NOT_RUN)
