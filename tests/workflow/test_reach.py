"""What jobs really call lies within what their code digests cover."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.workflow.conftest import ROOT, SMOKE, ok, snakemake

pytestmark = pytest.mark.workflow
FIGURES = ("draw_fig01_cka_within", "draw_fig12_data_fractions", "draw_figD_localisation_layers")
"""Those that are traced in every run of the tests: between them they use most panels and tables."""


def commands(folder):
    """Rule -> the words of its commands, one for each family of networks."""
    said = ok(snakemake(folder, "--dry-run", "--forceall", "-p", "--configfile", SMOKE))
    found, rule = {}, ""
    for line in said.splitlines():
        if named := re.fullmatch(r"(?:local)?rule (\w+):", line):
            rule = named[1]
        if line.startswith("Shell command: python"):
            words = shlex.split(line.partition(": ")[2])
            log = words[words.index("--log") + 1]
            found.setdefault((rule, "resnet" in log), words)
    return found


def traced(folder, chosen):
    """(rule, family) -> what the tracer says of it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.workflow.tracing"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        input=json.dumps(list(chosen.values())),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(chosen, json.loads(done.stdout), strict=True))


@pytest.mark.thorough
@pytest.mark.parametrize("drawn", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_no_job_calls_what_its_digest_does_not_cover(copied, drawn):
    """Every rule of the smoke experiment is run once more under a tracer."""
    all_of_them = commands(copied)
    chosen = {
        (rule, is_resnet): words
        for (rule, is_resnet), words in all_of_them.items()
        if (not rule.startswith("draw_") or rule in FIGURES) == drawn
    }
    stages = {rule.partition("_")[0] for rule, _ in chosen}
    if drawn:
        assert {"prepare", "split", "train", "dump", "measure", "judge", "write"} <= stages
    found = traced(copied, chosen)
    assert {key: told["status"] for key, told in found.items()} == dict.fromkeys(chosen, 0)
    assert {key: told["missed"] for key, told in found.items() if told["missed"]} == {}
    assert {key: told["called"] for key, told in found.items() if told["called"] < 2} == {}
