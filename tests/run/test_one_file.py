"""A figure or a file of claims is added by one file: nothing else of the package is edited."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightlines.core.files import read_table, write_json, write_table
from tests.figures import tables as synthetic
from tests.report.synthetic_records import record

pytestmark = pytest.mark.whole  # programs on a copy of the package

ROOT = Path(__file__).resolve().parents[2]
FIGURE = '''
"""How many networks reach which accuracy."""

from matplotlib.figure import Figure

from sightlines.figures.style import styled
from sightlines.results.selecting import require_some

TITLE = "Networks by accuracy"
PAPER = "none"
CAPTION = "Number of networks by test accuracy. Look for: two heaps, untrained and trained."
EXPLAINS = ("Did they learn?", "Networks are counted.", "Heaps apart are good.")
DIFFERS = "The paper does not count its networks."
READS = ("accuracy.csv",)
NEEDS = ("trained",)


@styled
def draw(tables, config):
    """One histogram."""
    accuracy = tables["accuracy.csv"]["accuracy_test"]
    require_some(accuracy, "accuracy.csv has no network of this experiment")
    figure = Figure(figsize=(3, 2), layout="constrained")
    figure.subplots().hist(accuracy, bins=10)
    return figure
'''
CLAIMS_FILE = '''
"""A claim of our own."""

from sightlines.claims.cases import each
from sightlines.claims.claim import Claim, Criterion, exactly

READS = ("accuracy.csv",)
CLAIMS = (
    Claim(
        id="X1",
        figure="none",
        title="Networks learn",
        statement="Networks learn.",
        statistic="test accuracy",
        criteria=(Criterion("test accuracy", ">=", 0.05),),
        reason="half of chance",
        paper_value="none",
        source="[text]",
        tier="A",
        controls="untrained networks",
        drawn="own_figure",
        cases=lambda evidence: each(
            evidence, evidence.models(), lambda e, n: [exactly(e.accuracy(n)[0])]
        ),
    ),
)
'''
STEPS = """
import json, logging, sys
from pathlib import Path

from sightlines.claims.judge import all_claims
from sightlines.jobs.command import Job
from sightlines.plan.experiment import Experiment
from sightlines.run import claims, figure, report

config, here = Path("workflow/config/smoke.yaml"), Path(sys.argv[1])
planned = Experiment.open(config)
assert "own_figure" in planned.figures
one = Experiment.open(config, {"figures": ["own_figure"]})
assert list(one.inputs("figures", "own_figure")) == ["accuracy.csv"]
assert one.code("figures.own_figure") != one.code("figures.figA_estimator")
settings = json.loads((here / "config.json").read_text())
accuracy = here / "accuracy.csv"


def run(command, name, config, inputs, outputs, member=""):
    outputs = {key: [here / path] for key, path in outputs.items()}
    log = logging.getLogger("test")
    command.main(Job(name, settings | config, inputs, outputs, here, log, member=member))


pictures = {"svg": "own.svg", "png": "own.png"}
run(figure, "draw/own_figure", {}, {"accuracy.csv": [accuracy]}, pictures, "own_figure")
shown = {"figures": ["own_figure"], "tasks": {}}
outputs = ("claims", "claim_cases", "seed_calibration", "specifications")
verdicts = {name: f"{name}.csv" for name in outputs}
run(claims, "claims", shown, {"tables": [accuracy]}, verdicts)
tables = [accuracy, *(here / name for name in verdicts.values())]
inputs = {"pictures": [here / "own.png"], "tables": tables}
run(report, "report", shown, inputs, {"report": "report.html"})
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What a copy of the package, with a new figure and new claims in it, makes."""
    here = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        ROOT / "src/sightlines",
        here / "src/sightlines",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copytree(ROOT / "workflow", here / "workflow")
    (here / "src/sightlines/figures/own_figure.py").write_text(FIGURE)
    (here / "src/sightlines/claims/own_claims.py").write_text(CLAIMS_FILE)
    config = synthetic.config(fractions=("f000", "f100"), seeds=("s0",))
    write_table(here / "accuracy.csv", synthetic.accuracy(config))
    (here / "config.json").write_text(json.dumps(config))
    job = f"train/{config['networks'][0]}"
    write_json(here / f"records/{job}.json", record(job))
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(here)],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(here / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return here


def test_a_new_figure_is_planned_drawn_and_on_the_page(made):
    assert (made / "own.svg").read_bytes().rstrip().endswith(b"</svg>")
    html = (made / "report.html").read_text()
    assert '<figure id="own_figure">' in html and "Networks by accuracy" in html
    assert "The paper does not count its networks." in html


def test_a_new_claim_is_judged_and_on_the_page(made):
    row = read_table(made / "claims.csv").set_index("claim").loc["X1"]
    assert row["drawn"] == "own_figure" and row["verdict"] == "one run"
    html = (made / "report.html").read_text()
    card = html.split('<details class="claim" id="X1">')[1].split("</details>")[0]
    assert '<a class="row" href="#X1">' in html and '<a href="#own_figure">' in card
