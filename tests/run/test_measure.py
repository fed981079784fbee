"""The runner of measures: what it opens, checks and writes; measures of one file."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sightlines.core.errors import ResultError, SchemaError
from sightlines.core.files import TensorFile, TensorReader, read_table, write_table
from sightlines.measures import attention_distance, cka
from sightlines.plan import registry
from sightlines.plan.networks import Network
from sightlines.run import measure
from tests.measures.making_dumps import random_minibatches, write_attention, write_gram
from tests.measures.running import measure_job, run_measure

NETWORKS = ["vit/f000/s0", "vit/f100/s0"]
STATISTICS = ("distance_px", "distance_renormalised_px", "prefix_mass", "entropy_nats")


@pytest.fixture
def attention(tmp_path):
    values = {name: [np.ones((3, 2, 2), np.float32)] * 2 for name in STATISTICS}
    paths = [tmp_path / f"{place}.safetensors" for place, _ in enumerate(NETWORKS)]
    for path, slug in zip(paths, NETWORKS, strict=True):
        write_attention(path, values, Network.parse(slug))
    return paths


def test_dumps_reach_the_measure_in_the_networks_order_on_one_thread(
    attention, tmp_path, monkeypatch
):
    seen = {}

    def own(**given):
        seen.update(given, threads={pool["num_threads"] for pool in threadpool_info()})
        return {"attention_distance.csv": []}

    monkeypatch.setattr(attention_distance, "measure", own)
    with threadpool_limits(2):  # whatever the environment says
        found = run_measure("attention_distance", {"attention": attention}, tmp_path, NETWORKS)
    assert set(seen) == {"attention", "threads"} and seen["threads"] == {1}
    assert [dump.network.slug for dump in seen["attention"]] == NETWORKS
    assert len(found["attention_distance"]) == 0


def test_settings_are_those_of_uses_and_a_table_is_a_frame(tmp_path):
    inputs = {"cka.parquet": [tmp_path / "cka.parquet"], "layers.csv": [tmp_path / "layers.csv"]}
    dump = tmp_path / "vit.safetensors"
    write_gram(dump, random_minibatches(1, [7, 7], [3, 4]), Network.parse(NETWORKS[1]))
    run_measure("cka", {"gram": [dump]}, tmp_path, NETWORKS[1:])
    given = measure.arguments(measure_job("data_fractions", inputs, tmp_path, NETWORKS))
    assert set(given) == {"cka", "layers", "networks"}
    assert given["networks"] == [Network.parse(slug) for slug in NETWORKS]
    assert given["cka"].equals(read_table(tmp_path / "cka.parquet"))


def test_a_dump_that_is_missing_or_of_another_network_is_named(attention, tmp_path):
    with pytest.raises(ResultError, match=r"expected dumps of vit/f000/s0, vit/f100/s0, but .*0"):
        run_measure("attention_distance", {"attention": attention[:1]}, tmp_path, NETWORKS)
    with pytest.raises(ResultError, match="expected dumps of"):
        run_measure("attention_distance", {"attention": attention[::-1]}, tmp_path, NETWORKS)
    with pytest.raises(ResultError, match=r"cannot read .*gone"):
        run_measure("attention_distance", {"attention": [tmp_path / "gone"]}, tmp_path, NETWORKS)


def test_an_experiment_without_networks_of_a_kind_has_whole_tables(tmp_path):
    table = run_measure("attention_distance", {}, tmp_path, [])["attention_distance"]
    assert (
        len(table) == 0 and table.columns[0] == "model" and table.columns[-1] == ("undefined_share")
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(more=1), "attention_distance.csv has the undeclared columns more"),
        (lambda t: t.drop(columns="head"), "attention_distance.csv lacks the columns head"),
        (lambda t: t.assign(head=0.5), "column head of attention_distance.csv is declared int"),
    ],
)
def test_a_measure_that_does_not_do_as_it_declares_is_named(
    attention, tmp_path, monkeypatch, change, message
):
    whole = attention_distance.head_table
    monkeypatch.setattr(attention_distance, "head_table", lambda dump: change(whole(dump)))
    with pytest.raises(SchemaError, match=rf"measures/attention_distance\.py: {message}"):
        run_measure("attention_distance", {"attention": attention}, tmp_path, NETWORKS)
    assert not (tmp_path / "attention_distance.csv").exists()


@pytest.mark.parametrize("returned", [None, pd.DataFrame({"model": ["vit"]})])
def test_a_measure_that_returns_no_tables_by_name_is_named(
    attention, tmp_path, monkeypatch, returned
):
    monkeypatch.setattr(attention_distance, "measure", lambda **_: returned)
    message = rf"its measure returns {type(returned).__name__}"
    with pytest.raises(SchemaError, match=message):
        run_measure("attention_distance", {"attention": attention}, tmp_path, NETWORKS)


def test_a_table_too_few_and_a_frame_for_a_file_are_refused(tmp_path, monkeypatch):
    dump = tmp_path / "vit.safetensors"
    write_gram(dump, random_minibatches(1, [7, 7], [3, 4]), Network.parse(NETWORKS[1]))
    whole = cka.measure
    for change, message in (
        ({}, r"cka\.py declares .* but its measure returns layers\.csv"),
        ({"cka_replicates.safetensors": pd.DataFrame()}, r"cka_replicates\.safetensors is no"),
    ):

        def own(gram, seed, change=change):
            found = whole(gram, seed)
            del found["cka_replicates.safetensors"]
            return found | change

        monkeypatch.setattr(cka, "measure", own)
        with pytest.raises(SchemaError, match=message):
            run_measure("cka", {"gram": [dump]}, tmp_path, NETWORKS[1:])


def test_what_is_iterated_is_made_while_it_is_written(tmp_path, monkeypatch):
    """No two tables, and no two tensors of a file, need be held at once."""
    dump, made = tmp_path / "vit.safetensors", []
    write_gram(dump, random_minibatches(1, [7, 7], [3, 4]), Network.parse(NETWORKS[1]))
    whole = cka.measure

    def noted(name, parts):
        made.append((name, sorted(p.name for p in (tmp_path / "out").glob("*"))))
        yield from parts

    def own(gram, seed):
        found = whole(gram, seed)
        file = found["cka_replicates.safetensors"]
        assert isinstance(file, TensorFile)
        tensors = noted("tensors", file.tensors)
        found["cka_replicates.safetensors"] = file._replace(tensors=tensors)
        return found | {"cka.parquet": noted("pairs", found["cka.parquet"])}

    monkeypatch.setattr(cka, "measure", own)
    run_measure("cka", {"gram": [dump]}, tmp_path / "out", NETWORKS[1:])
    assert made[0] == ("pairs", ["layers.csv"]) and made[1][0] == "tensors"
    assert "cka.parquet" in made[1][1]
    reader = TensorReader(tmp_path / "out" / "cka_replicates.safetensors")
    assert reader.names() == ["vit/f100/s0|vit/f100/s0"]


@pytest.mark.parametrize("kind", [k for k in registry.members("dumps")] + ["pixels"])
def test_every_kind_of_dump_declares_what_opens_it(kind):
    reader = registry.attribute(registry.declarations("dumps", kind)["READER"])
    assert isinstance(reader, type) and reader.__module__.startswith("sightlines.dumps.")


# -- a measure is one file --------------------------------------------------------------

MEASURE = '''"""How deep a model is."""

import pandas as pd

READS = ("layers.csv",)
USES = ("architectures",)
TABLES = {
    "depths.csv": {
        "about": "How deep every model is",
        "row": "model",
        "columns": (
            ("model", "text", "", "model"),
            ("family", "text", "", "its family"),
            ("blocks", "int", "blocks", "a column of a newcomer's"),
        ),
    },
}


def measure(layers, architectures):
    """One row a model."""
    found = layers[layers["kind"] == "residual"].groupby("model", sort=False).size()
    families = [architectures[model]["family"] for model in found.index]
    table = {"blocks": found.to_numpy(), "model": found.index, "family": families}
    return {"depths.csv": pd.DataFrame(table)}
'''
FIGURE = '''"""Reads the newcomer's table."""

READS = ("depths.csv",)
NEEDS = ()
'''
PLAN = """
import json, sys
from pathlib import Path
from sightlines import manual
from sightlines.plan.experiment import Experiment, as_json
from sightlines.results.tables import required

experiment = Experiment.open(Path("workflow/config/smoke.yaml"))
assert "a column of a newcomer's" in manual.tables()
print(json.dumps({
    "measures": experiment.measures,
    "reads": experiment.inputs("measures", "depths"),
    "writes": experiment.outputs("depths"),
    "config": as_json(experiment.job_config_measure("depths")),
    "code": experiment.code("measures.depths"),
    "columns": required("depths.csv"),
}))
"""


@pytest.mark.whole  # programs on a copy of the package
def test_a_newcomers_measure_is_one_file(tmp_path):
    """Planned, listed and run by its file alone, because a figure reads its table."""
    here = Path(__file__).parents[2]
    for part in ("src", "workflow"):
        shutil.copytree(here / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "src" / "sightlines"
    (package / "measures" / "depths.py").write_text(MEASURE)
    (package / "figures" / "of_depths.py").write_text(FIGURE)

    def python(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path / "src"), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    plan = json.loads(python("-c", PLAN))
    assert "depths" in plan["measures"] and plan["measures"].index("cka") < plan["measures"].index(
        "depths"
    )
    assert plan["reads"] == {"layers.csv": ["results/smoke/tables/layers.csv"]}
    assert plan["writes"] == {"depths": "results/smoke/tables/depths.csv"}
    assert plan["columns"] == ["model", "family", "blocks"]
    rows = [("vit_small", 0, "norm"), ("vit_small", 1, "residual"), ("resnet", 0, "residual")]
    layers = pd.DataFrame(rows, columns=["model", "layer", "kind"])
    layers = layers.assign(name="l", block=0, depth=0.0, features=7)
    write_table(tmp_path / "results/smoke/tables/layers.csv", layers)
    python(
        *("-m", "sightlines.run.measure", "depths", "--config", plan["config"]),
        *("--input", "layers.csv", *plan["reads"]["layers.csv"]),
        *("--output", "depths", plan["writes"]["depths"]),
        *("--log", "results/smoke/logs/measure/depths.log"),
    )
    table = (tmp_path / plan["writes"]["depths"]).read_text()
    assert table == "model,family,blocks\nvit_small,vit,1\nresnet,resnet,1\n"
    record = json.loads((tmp_path / "results/smoke/records/measure/depths.json").read_text())
    assert list(record["outputs"]) == [plan["writes"]["depths"]]
