"""What DVC draws and compares of two commits: names on one axis, numbers on the other."""

import json
import re
from pathlib import Path

import pytest
import yaml

from sightlines.sharing.dvc import write_stage
from sightlines.sharing.metrics import write_metrics
from tests.sharing import repository
from tests.sharing.repository import CONFIG, run

TABLES = Path("results/mine/tables")
REVISIONS = {"HEAD~1", "HEAD"}
ACCURACY = """model,fraction,seed,chance,test_images,accuracy_test
vit,f100,s0,0.1,200,{0}
vit,f100,s1,0.1,200,0.25
public,f100,s0,0.1,200,
"""
CLAIMS = """claim,statement,verdict,deciding,value,low,high
C1,"One, said twice",stands,a: b,{0},0.2,0.4
C2,Two,not run,,,,
"""


@pytest.fixture(scope="module")
def two_commits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots") / "origin"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        repository.begin(folder)
        TABLES.mkdir(parents=True)
        for step, value in ((4, "0.5"), (40, "0.75")):
            CONFIG.write_text(f"train:\n  steps: {step}\n")
            (TABLES / "accuracy.csv").write_text(ACCURACY.format(value))
            (TABLES / "claims.csv").write_text(CLAIMS.format(value))
            write_metrics("mine")
            provenance = {"version": 1, "snakemake_records": 6, "experiment": "mine", "jobs": {}}
            Path("results/mine/provenance.json").write_text(
                json.dumps(provenance | {"shells": {}, "environments": {}, "codes": {}})
            )
            repository.share(f"{step} steps")
    return folder


def specs(*words):
    """Vega-Lite's specification of each plot, out of the page that DVC makes."""
    run("dvc", "plots", *words)
    page = Path("dvc_plots/index.html").read_text()
    found = re.findall(r"var spec = (\{.*?\});\s*vegaEmbed", page, re.DOTALL)
    return [json.loads(text) for text in found]


@pytest.fixture(scope="module")
def drawn(two_commits):
    """Specifications of what is here, and of both commits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(two_commits)
        return {words[0]: specs(*words) for words in (["show"], ["diff", "HEAD~1", "HEAD"])}


def encodings(spec):
    shared = spec.get("encoding", {})
    for layer in spec.get("layer", [spec]):
        yield shared | layer.get("encoding", {})


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.whole
@pytest.mark.parametrize(("command", "revisions"), [("show", {"workspace"}), ("diff", REVISIONS)])
def test_text_is_on_an_axis_for_names_and_numbers_on_one_for_numbers(drawn, command, revisions):
    assert len(drawn[command]) == 2
    for spec in drawn[command]:
        rows = spec["data"]["values"]
        computed = {step["as"] for step in spec["transform"] if "calculate" in step}
        assert {row["rev"] for row in rows} == revisions
        for encoding in encodings(spec):
            for axis in ("x", "y"):
                field, kind = encoding[axis]["field"], encoding[axis]["type"]
                values = [row[field] for row in rows if row.get(field)]
                is_text = field in computed or not all(map(is_number, values))
                assert kind == ("nominal" if is_text else "quantitative"), (field, kind)
            assert {encoding[a]["type"] for a in ("x", "y")} == {"nominal", "quantitative"}
            assert encoding["color"]["field"] == "rev"
        # An empty cell would be drawn at zero.
        assert any("!== ''" in step.get("filter", "") for step in spec["transform"])
        assert "DVC_METRIC" not in json.dumps(spec)


@pytest.mark.whole
def test_every_network_has_a_line_of_its_own(drawn):
    spec = next(s for s in drawn["show"] if "accuracy" in json.dumps(s["title"]))
    assert spec["encoding"]["y"]["field"] == "network"
    (made,) = (step["calculate"] for step in spec["transform"] if step.get("as") == "network")
    assert set(re.findall(r"datum\.(\w+)", made)) == {"model", "fraction", "seed"}


@pytest.mark.whole
def test_metrics_and_params_of_two_commits(two_commits, monkeypatch):
    monkeypatch.chdir(two_commits)
    metrics = json.loads(run("dvc", "metrics", "diff", "--json", "HEAD~1", "HEAD"))
    assert metrics == {
        "results/mine/metrics.json": {
            "accuracy_test.vit/f100/s0": {"old": 0.5, "new": 0.75, "diff": 0.25}
        }
    }
    params = json.loads(run("dvc", "params", "diff", "--json", "HEAD~1", "HEAD"))
    assert params == {str(CONFIG): {"train.steps": {"old": 4, "new": 40, "diff": 36}}}


def test_plots_of_an_earlier_version_are_made_anew_and_ones_own_are_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {"results/other/tables/accuracy.csv": {"x": "seed", "y": "accuracy_test"}}
    plots = [
        {str(TABLES / "accuracy.csv"): {"x": "model", "y": "accuracy_test"}},
        {str(TABLES / "claims.csv"): {"x": "claim", "y": "value"}},
        "a.csv",
        own,
    ]
    Path("dvc.yaml").write_text(yaml.safe_dump({"plots": plots, "stages": {}}))
    write_stage("mine", CONFIG)
    found = yaml.safe_load(Path("dvc.yaml").read_text())["plots"]
    assert found == [
        "a.csv",
        own,
        {
            str(TABLES / "accuracy.csv"): {
                "x": "accuracy_test",
                "y": "model",
                "template": "accuracy",
            }
        },
        {str(TABLES / "claims.csv"): {"x": "value", "y": "claim", "template": "claims"}},
    ]
    mine = {str(TABLES / "claims.csv"): {"x": "low", "y": "claim", "template": "scatter"}}
    Path("dvc.yaml").write_text(yaml.safe_dump({"plots": [mine], "stages": {}}))
    write_stage("mine", CONFIG)
    assert yaml.safe_load(Path("dvc.yaml").read_text())["plots"][0] == mine
