"""Values of the config that say how fast, and never what, is computed."""

EXECUTION = {"workers": 2, "checkpoint_every_s": 60.0}
"""Values of `compute` that change no result; Snakemake sets them by SIGHTLINES_EXECUTION."""
