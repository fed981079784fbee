"""The words of verdicts, from best to worst; what they mean stands in `claims/verdict.py`."""

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
INCONCLUSIVE, UNINFORMATIVE, NOT_RUN = "inconclusive", "uninformative", "not run"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, UNINFORMATIVE, NOT_RUN)
