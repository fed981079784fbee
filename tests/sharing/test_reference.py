import csv
import json
import shutil
import subprocess

import pytest
import yaml
from PIL import Image

from sightlines.core.errors import ConfigError, ResultError
from sightlines.plan.experiment import Experiment
from sightlines.plan.experiment_names import name_of
from sightlines.sharing import reference

CONFIG = {
    "dataset": {"kind": "shapes", "n_train": 400, "n_test": 200},
    "splits": {"validation": 40, "reference_batches": 2, "reference_batch_size": 16},
    "models": {"vit": {"family": "vit", "patch_px": 8, "width": 8, "depth": 1, "heads": 1}},
    "runs": [{"models": ["vit"], "fractions": ["f000", "f100"], "seeds": ["s0"]}],
}
CASE = {"claim": "C1", "case": "vit", "criterion": "a", "value": "0.5", "low": "0.4", "high": "0.6"}


def case(outcome="holds", **changed):
    row = CASE | {"outcome": outcome} | changed
    return {tuple(row[key] for key in reference.KEYS): row}


def verdict(word, claim="C1"):
    return {(claim,): {"claim": claim, "verdict": word}}


def compare(own, before=None, verdicts=("holds", "holds"), is_exact=False):
    rows = [verdict(word) for word in verdicts]
    return reference.compare(before or case(), own, *rows, is_exact)


def test_what_is_within_both_intervals_agrees():
    assert compare(case(value="0.62", low="0.52", high="0.72")).differing == []
    far = compare(case(value="0.65", low="0.55", high="0.75"))
    assert len(far.differing) == 1 and "0.5 in the reference, 0.65 here" in far.differing[0]


def test_imported_networks_must_agree_closely():
    assert compare(case(value="0.50009"), is_exact=True).differing == []
    assert len(compare(case(value="0.5002"), is_exact=True).differing) == 1


def test_a_verdict_may_differ_only_where_an_interval_reaches_the_threshold():
    found = compare(case("unclear"), verdicts=("holds", "undecided"))
    assert found.differing == [] and len(found.listed) == 2
    found = compare(case("fails"), verdicts=("holds", "does not hold"))
    assert len(found.differing) == 2 and found.listed == []
    found = compare(case(), verdicts=("holds", "does not hold"))
    assert len(found.differing) == 1
    found = compare(case("unclear"), verdicts=("holds", "undecided"), is_exact=True)
    assert len(found.differing) == 2


def test_values_that_there_are_not_agree_and_without_an_interval_nothing_is_said():
    assert compare(case(value="", low="", high=""), case(value="", low="", high="")).differing == []
    assert compare(case(value="0.9", low="", high="")).differing == []


def test_what_only_one_has_is_told():
    found = compare(case() | case(criterion="b"))
    assert found.alone == ["C1 / vit / b: in this run alone"] and found.compared == 1


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder with git, a config, and results that have a picture and three tables."""
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "workflow/config/mine.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(yaml.safe_dump(CONFIG))
    tables, figures = tmp_path / "results/mine/tables", tmp_path / "results/mine/figures"
    tables.mkdir(parents=True)
    figures.mkdir()
    write(tables / "claim_cases.csv", [CASE | {"outcome": "holds"}])
    write(tables / "claims.csv", [{"claim": "C1", "verdict": "holds"}])
    write(tables / "accuracy.csv", [{"model": "vit"}])
    Image.new("RGB", (2400, 600), (200, 0, 0)).save(figures / f"{reference.FIGURES[0]}.png")
    (tmp_path / ".gitignore").write_text("/results/*/\n!/results/reference/\n")
    for words in (
        ["init", "-q"],
        ["config", "user.email", "a@example.org"],
        ["config", "user.name", "a"],
        ["add", "-A"],
        ["commit", "-qm", "first"],
    ):
        subprocess.run(["git", *words], check=True)
    return Experiment.open(config)


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_reference_is_small_names_its_commit_and_agrees_with_itself(made, tmp_path):
    folder = tmp_path / reference.write(made)
    told = json.loads((folder / "reference.json").read_text())
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert told["commit"] == head.strip() and told["config"]["models"].keys() == {"vit"}
    assert str(tmp_path) not in (folder / "reference.json").read_text()
    with Image.open(folder / f"{reference.FIGURES[0]}.png") as picture:
        assert picture.size == (1200, 300)
    found = reference.check(made, CONFIG)
    assert (found.compared, found.differing, found.listed, found.alone) == (1, [], [], [])
    shown = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True).stdout
    assert shown.split() == ["??", "results/"]  # .gitignore lets it in


def test_it_is_made_of_a_clean_commit_and_of_whole_results(made, tmp_path):
    (tmp_path / "results/mine/tables/claims.csv").unlink()
    with pytest.raises(ResultError, match=r"claims\.csv is missing"):
        reference.write(made)
    (tmp_path / "workflow/config/mine.yaml").write_text("# edited\n" + yaml.safe_dump(CONFIG))
    with pytest.raises(ResultError, match="commit what has changed first"):
        reference.write(made)


def test_another_config_is_refused(made, tmp_path):
    reference.write(made)
    other = tmp_path / "workflow/config/mine.yaml"
    other.write_text(yaml.safe_dump(CONFIG | {"seed": 3}))
    with pytest.raises(ResultError, match=r"of another config .*seed 0 → 3"):
        reference.check(Experiment.open(other), CONFIG | {"seed": 3})
    other.write_text(yaml.safe_dump(CONFIG | {"compute": {"threads": 2}}))
    assert reference.check(Experiment.open(other), CONFIG).compared == 1


def test_a_key_that_the_reference_did_not_know_counts_where_the_config_names_it(made, tmp_path):
    reference.write(made)
    told = tmp_path / "results/reference/mine/reference.json"
    older = json.loads(told.read_text())
    del older["config"]["conditions"]["lesion"], older["config"]["models"]["vit"]["pool"]
    told.write_text(json.dumps(older))
    assert reference.check(made, CONFIG).compared == 1
    named = CONFIG | {"models": {"vit": CONFIG["models"]["vit"] | {"pool": "cls"}}}
    with pytest.raises(ResultError, match=r"of another config .*models\.vit\.pool added"):
        reference.check(made, named)


def test_a_renamed_key_that_the_reference_did_not_know_counts_by_either_name(made, tmp_path):
    reference.write(made)
    told = tmp_path / "results/reference/mine/reference.json"
    older = json.loads(told.read_text())
    del older["config"]["compare_grids"], older["config"]["train"]["second_moment"]
    told.write_text(json.dumps(older))
    assert reference.check(made, CONFIG).compared == 1
    train = CONFIG.get("train", {})
    for key, value in (("require_equal_grids", True), ("compare_grids", True)):
        with pytest.raises(ResultError, match=r"of another config .*compare_grids added"):
            reference.check(made, CONFIG | {key: value})
    with pytest.raises(ResultError, match=r"of another config .*second_moment added"):
        reference.check(made, CONFIG | {"train": train | {"betas": [0.9, 0.98]}})


def test_another_look_of_the_figures_is_no_other_config(made, tmp_path):
    reference.write(made)
    told = tmp_path / "results/reference/mine/reference.json"
    older = json.loads(told.read_text())
    older["config"]["figure_style"] = ""  # as references have it that were written before
    told.write_text(json.dumps(older))
    (tmp_path / "workflow/config/mine.mplstyle").write_text("font.size: 9")
    styled = CONFIG | {"figure_style": "mine.mplstyle"}
    other = tmp_path / "workflow/config/mine.yaml"
    other.write_text(yaml.safe_dump(styled))
    assert reference.check(Experiment.open(other), styled).compared == 1


def test_without_reference_or_results_it_says_so(made, tmp_path):
    with pytest.raises(ResultError, match="no reference results of mine; there are of no exp"):
        reference.check(made, CONFIG)
    reference.write(made)
    shutil.rmtree(tmp_path / "results/mine")
    with pytest.raises(ResultError, match="run snakemake again"):
        reference.check(made, CONFIG)


def test_no_experiment_may_have_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"among the reference results.*my_reference\.yaml"):
        name_of(tmp_path / "reference.yaml")
