import json
import re
import shutil
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml

from sightlines.core.files import TensorReader, read_table, write_json, write_table
from sightlines.dumps.predictions_reading import PredictionsDump
from sightlines.plan.config import load
from sightlines.plan.experiment import MODEL_FILES, Experiment
from sightlines.plan.networks import as_initialised
from sightlines.plan.table_schemas import schemas
from sightlines.results.tables import DTYPES, joined
from sightlines.sharing import registration
from sightlines.sharing.unchanged import SETTLED_NS
from tests.measures.making_dumps import STORED
from tests.rounding import assert_rounded
from tests.workflow.conftest import SMOKE, ok, results, snakemake, tool
from tests.workflow.planning import every, follow, planned

pytestmark = pytest.mark.workflow


def test_the_smoke_experiment_ends_in_a_report_with_every_figure(smoke):
    experiment = Experiment.open(SMOKE)
    folder = smoke / experiment.folder
    page = (folder / "report.html").read_text()
    for figure in experiment.figures:
        assert (folder / "figures" / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / "figures" / f"{figure}.svg").stat().st_size > 1000
        assert (folder / "figures" / f"{figure}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / "figures" / f"{figure}.csv").read_text().startswith("panel,title,series,")
    assert page.count("data:image/webp") >= len(experiment.figures)
    for table in experiment.tables():
        assert (smoke / table).stat().st_size > 0


def test_every_table_is_as_its_schema_says(smoke, tmp_path):
    """Columns in their order and of their types; in CSV a float may look like a whole number."""
    folder = smoke / Experiment.open(SMOKE).folder
    declared = {file: schema for file, schema in schemas().items() if schema.columns}
    found = [p for p in sorted((folder / "tables").iterdir()) if p.suffix in (".csv", ".parquet")]
    for path in [*found, *sorted(folder.glob("models/*/*/*/history.csv"))]:
        table = read_table(path)
        schema = declared[path.name]
        known = [c for c in schema.columns if not c.is_optional or c.name in table]
        assert list(table.columns) == [c.name for c in known], path.name
        if path.suffix == ".parquet":
            types = [DTYPES[c.type] for c in known]
            assert [str(dtype) for dtype in table.dtypes] == types, path.name
            continue
        again = joined(
            table.astype({c.name: "float64" for c in known if c.type == "float"}), schema
        )
        write_table(tmp_path / "again.csv", again)
        assert (tmp_path / "again.csv").read_bytes() == path.read_bytes(), path.name


def test_every_network_has_weights_history_scores_and_dumps(smoke):
    experiment = Experiment.open(SMOKE)
    accuracy = pd.read_csv(smoke / experiment.folder / "tables/accuracy.csv")
    assert len(accuracy) == len(experiment.networks)
    assert accuracy["accuracy_test"].between(0, 1).all()
    confusion = pd.read_parquet(smoke / experiment.folder / "tables/confusion.parquet")
    assert set(confusion.groupby(["model", "fraction", "seed"])["images"].sum()) == {4000}
    for network in experiment.networks:
        folder = smoke / experiment.folder / "models" / network.slug
        assert sorted(p.name for p in folder.iterdir()) == sorted(MODEL_FILES)
        predictions = PredictionsDump(smoke / experiment.dump("predictions", network))
        assert predictions.images["test"] == 4000
        dump = TensorReader(smoke / experiment.dump("gram", network))
        reference = TensorReader(smoke / experiment.folder / "data/reference.safetensors")
        assert dump.meta["reference_sha256"] == reference.meta["reference_sha256"]


def test_a_network_is_like_itself_and_unlike_shuffled_images(smoke):
    folder = smoke / "results/smoke/tables"
    cka = pd.read_parquet(folder / "cka.parquet")
    same = cka[
        (cka.model_a == cka.model_b)
        & (cka.fraction_a == cka.fraction_b)
        & (cka.seed_a == cka.seed_b)
        & (cka.layer_a == cka.layer_b)
    ]
    assert_rounded(same.cka.dropna(), 1, **STORED)
    shuffled = pd.read_parquet(folder / "cka_shuffled.parquet")
    assert shuffled.cka.abs().mean() < 0.1


def test_claims_are_registered_by_a_real_run_before_its_jobs(smoke, tmp_path):
    """A dry run registers nothing."""
    lock = smoke / "results/smoke/claims.lock"
    (entry,) = json.loads(lock.read_text())["entries"]
    assert set(entry["claims"]) == set(pd.read_csv(smoke / "results/smoke/tables/claims.csv").claim)
    first = min((smoke / "results/smoke").rglob("*.safetensors"), key=lambda p: p.stat().st_mtime)
    assert lock.stat().st_mtime < first.stat().st_mtime
    ok(snakemake(tmp_path, "--configfile", SMOKE, "-n"))
    assert not (tmp_path / "results/smoke/claims.lock").exists()


@pytest.mark.thorough
def test_a_verdict_by_other_criteria_than_registered_says_so(copied):
    """The lock is of a run whose C1 asked for more; nothing of it is overwritten."""
    lock = copied / "results/smoke/claims.lock"
    value = json.loads(lock.read_text())
    entry = value["entries"][0]
    own = entry["claims"]["C1"]
    own["criteria"] = ["LH(ViT) − LH(ResNet) >= 0.1"]
    own["sha256"] = registration.fingerprint(own)
    entry["sha256"] = registration._hash("", entry["claims"])
    write_json(lock, value)
    done = snakemake(copied, "--configfile", SMOKE, "-n")
    assert planned(done) == follow(Experiment.open(SMOKE), jobs=[("judge_claims", 1)])
    ok(snakemake(copied, "--configfile", SMOKE, "--cores", "1"))
    row = pd.read_csv(copied / "results/smoke/tables/claims.csv").set_index("claim").loc["C1"]
    assert row["other_criteria"] == "registered with other criteria"
    assert "judged by other criteria than claims.lock has" in row["because"]
    assert "claims.lock has" in (copied / "results/smoke/report.html").read_text()
    entries = json.loads(lock.read_text())["entries"]
    assert entries[0] == entry and list(entries[1]["claims"]) == ["C1"]
    assert "Nothing to be done" in ok(snakemake(copied, "--configfile", SMOKE, "--cores", "1"))
    lock.write_text("{")
    done = snakemake(copied, "--configfile", SMOKE, "-n")
    assert done.returncode and "claims.lock is damaged" in done.stdout + done.stderr


def test_a_second_run_has_nothing_to_do(smoke):
    done = snakemake(smoke, "--configfile", SMOKE)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.thorough
def test_what_had_nothing_to_do_is_not_planned_again_until_something_changes(copied):
    """A call plans where anything differs; then one that had nothing to do is remembered."""

    def call():
        time.sleep(SETTLED_NS / 1e9)  # what was written last counts as settled
        return ok(snakemake(copied, "--configfile", SMOKE, "--cores", "1"))

    planning = "Building DAG of jobs"
    for _ in range(3):  # the first adopts, or has times of files to settle
        said = call()
        assert "Nothing to be done" in said
    assert planning not in said
    table = copied / "results/smoke/tables/accuracy.csv"
    before = table.read_bytes()
    table.write_bytes(before.replace(b"0", b"1", 1))
    assert planning in call()
    assert table.read_bytes() == before
    (copied / ".cache/sightlines/unchanged.json").write_text("{")
    assert planning in call()
    said = call()
    assert "Nothing to be done" in said and planning not in said


@pytest.mark.slow
def test_one_core_and_two_give_the_same_bytes(smoke, tmp_path):
    done = snakemake(tmp_path, "--configfile", SMOKE, "--cores", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    one, two = results(tmp_path), results(smoke)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


@pytest.mark.thorough
def test_jobs_in_processes_of_their_own_give_the_same_bytes(copied):
    """Without the warm process: a dump of each library's use, a table, a figure."""
    before = results(copied)
    network = "vit_small/f100/s0.safetensors"
    again = [
        *(f"smoke/dumps/{kind}/{network}" for kind in ("gram", "attention", "features", "skips")),
        "smoke/tables/probes.parquet",
        "smoke/figures/fig01_cka_within.svg",
    ]
    targets = [f"results/{path}" for path in again]
    for path in targets:
        (copied / path).unlink()
    done = snakemake(copied, *targets, "--force", "--configfile", SMOKE, SIGHTLINES_WARM="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((copied / ".cache/sightlines").glob("warm-*"))
    after = results(copied)
    assert [path for path in again if after[path] != before[path]] == []


def edited(folder, change):
    config = yaml.safe_load(SMOKE.read_text())
    change(config)
    (folder / "smoke.yaml").write_text(yaml.safe_dump(config))
    return folder / "smoke.yaml"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda c: c["models"]["resnet"].update(label="Another"),
            lambda e: follow(e, names=["resnet"]),
        ),
        (
            lambda c: c["models"]["vit_small"].update(train={"learning_rate": 0.5}),
            lambda e: follow(e, every(e, "vit_small")),
        ),
        (
            lambda c: c["splits"].update(reference_batches=7),
            lambda e: follow(e, part="reference"),
        ),
        (
            lambda c: c["runs"][1]["fractions"].append("f030"),
            lambda e: follow(e, [n for n in e.networks if n.fraction == "f030"], names=["f030"]),
        ),
    ],
    ids=[
        "a-label",
        "one-model's-recipe",
        "reference-images",
        "a-fraction-more",
    ],
)
def test_a_changed_value_reruns_what_it_touches_and_nothing_else(smoke, tmp_path, change, expected):
    """Where the results were made; where they were pulled, test_rerun_matrix has many more."""
    config = edited(tmp_path, change)
    jobs = planned(snakemake(smoke, "--configfile", config, "-n"))
    assert jobs == expected(Experiment.open(config))


def test_every_result_is_as_recorded_until_one_is_altered(copied):
    def verify():
        command = [sys.executable, "-m", "sightlines.sharing.verify", "smoke"]
        return subprocess.run(command, cwd=copied, capture_output=True, text=True)

    done = verify()
    assert done.returncode == 0 and ", 0 differ\n" in done.stdout, done.stdout + done.stderr
    table = copied / "results/smoke/tables/attention_distance.csv"
    table.write_text(table.read_text().replace("0.", "1.", 1))
    done = verify()
    lines = done.stdout.splitlines()
    altered = "smoke: results/smoke/tables/attention_distance.csv is not what measure/attention"
    assert done.returncode == 1 and any(line.startswith(altered) for line in lines)
    assert any("was made from another version of results/smoke/tables/att" in x for x in lines)


def test_own_probes_are_chosen_by_their_own_stage_where_there_are_other_tasks(tmp_path):
    """A dry run cannot tell: see findings/shell_text_of_a_loop.sh."""
    config = yaml.safe_load(SMOKE.read_text())
    images = {"kind": "textures", "n_train": 600, "n_test": 400}
    config["transfer"] = {"other": {"dataset": images, "domain": "out"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    own, other = (f"results/mine/{part}data/probes.safetensors" for part in ("", "transfer/other/"))
    call = ("--configfile", tmp_path / "mine.yaml", "--cores", "1", "--", own, other)
    ok(snakemake(tmp_path, *call))
    drawn = [TensorReader(tmp_path / path).meta.get("probe_splits") for path in (own, other)]
    assert drawn == [{"probe_train": "test"}, None]


@pytest.mark.thorough
def test_a_damaged_dump_is_named_and_made_again(copied):
    network = Experiment.open(SMOKE).networks[1]
    before = results(copied)
    dump = copied / f"results/smoke/dumps/gram/{network.slug}.safetensors"
    dump.write_bytes(dump.read_bytes()[:-1000])
    (copied / "results/smoke/tables/cka.parquet").unlink()
    done = snakemake(copied, "--configfile", SMOKE)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert f"{network.slug}.safetensors: its content is not what its record says" in said
    after = results(copied)
    assert [name for name in before if after.get(name) != before[name]] == []
    assert not list((copied / "results").rglob("*.part"))


def test_the_target_names_its_experiment(tmp_path):
    target = "results/cifar10/figures/fig01_cka_within.svg"
    done = snakemake(tmp_path, target, "-n")
    networks = Experiment.open(SMOKE.with_name("cifar10.yaml")).networks
    trained = {as_initialised(network) for network in networks}
    assert planned(done)["train_network"] == len(trained)
    assert load(SMOKE.with_name("cifar10.yaml")).dataset["kind"] == "cifar10"


def test_a_target_of_another_experiment_is_refused(tmp_path):
    done = snakemake(tmp_path, "results/cifar10/report.html", "--configfile", SMOKE, "-n")
    assert done.returncode != 0
    assert "makes results/smoke/, not results/cifar10/" in done.stdout + done.stderr


def test_a_wrong_key_stops_before_any_job_without_a_traceback(tmp_path):
    config = edited(tmp_path, lambda c: c["train"].update(step=3))
    done = snakemake(tmp_path, "--configfile", config)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "unknown key 'step', nearest is 'steps'" in said
    assert "Traceback" not in said
    assert not (tmp_path / "results").exists() and not (tmp_path / "data").exists()


@pytest.mark.browser
@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_two_experiments_of_a_real_run_are_laid_over_each_other(smoke, copied):
    """The page of the run beside itself with a verdict turned; a browser asks it for a cell."""
    shutil.copytree(copied / "results" / "smoke", copied / "results" / "other")
    claims = copied / "results" / "other" / "tables" / "claims.csv"
    turned = pd.read_csv(claims)
    turned.loc[0, "verdict"] = "does not hold"
    turned.to_csv(claims, index=False)
    words = [f"A={copied}/results/smoke", f"B={copied}/results/other", f"PAGE={copied}/both.html"]
    said = ok(tool(smoke, "make", "--no-print-directory", "compare", *words))
    assert said.rstrip().endswith("both.html")
    html = (copied / "both.html").read_text()
    assert f"1 of {len(turned)} verdicts differ" in " ".join(html.split())
    cka = read_table(copied / "results" / "smoke" / "tables" / "cka.parquet")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium or google-chrome on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto((copied / "both.html").as_uri())
        assert_says_a_cell_twice(page, cka)
        browser.close()


def assert_says_a_cell_twice(page, cka):
    """What an arrow key shows of the first map is what the table has, of both experiments."""
    page.wait_for_selector(".explore-plot")
    page.locator(".explore-maps .explore-plot").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    said = page.inner_text("#explore-said-maps")
    title = page.locator(".explore-maps figcaption").first.inner_text()
    row, column = map(int, re.findall(r"\((\d+)\)", said))
    values = [float(v.replace("−", "-")) for v in re.findall(r": (−?\d\.\d{4}) ± ", said)]
    network = [cka["model_a"].iloc[0], "f100", title.split(", ")[-1]] * 2
    keys = [f"{key}_{side}" for side in "ab" for key in ("model", "fraction", "seed")]
    own = cka[(cka[[*keys, "layer_a", "layer_b"]] == [*network, row, column]).all(axis=1)]
    (value,) = own["cka"]
    assert len(values) == 2 and all(abs(v - value) < 1e-4 for v in values)
    assert "difference 0.0000" in said
