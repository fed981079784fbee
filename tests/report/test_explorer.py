import base64
import json
import re

import numpy as np
import pytest

from sightlines.core.errors import ResultError
from sightlines.plan.networks import Network
from sightlines.report.explore import explorer, maps, measurements, packing, vendored
from sightlines.stats.half_samples import FALL
from tests.report.explore_pages import as_the_table, cell, experiment, hostile
from tests.report.synthetic_records import HOSTILE
from tests.rounding import rounded


@pytest.fixture(scope="module")
def parts():
    return experiment()


@pytest.fixture(scope="module")
def data(parts):
    return explorer.explorer_data([("synthetic", *parts)])


def values(data, place, shape, symmetric=False):
    whole = np.frombuffer(base64.b64decode(data["numbers"]), "<u2")
    count = shape[0] * (shape[0] + 1) // 2 if symmetric else shape[0] * shape[1]
    own = whole[place : place + count].astype(float)
    own[own == packing.UNDEFINED] = np.nan
    own = own * data["step"] + data["lowest"]
    if not symmetric:
        return own.reshape(shape)
    matrix = np.zeros(shape)
    matrix[np.triu_indices(shape[0])] = own
    return np.triu(matrix) + np.triu(matrix, 1).T


@pytest.mark.whole
def test_every_map_is_that_of_the_table(parts, data):
    """All pairs fit; each plane is the table's to four decimals."""
    config, tables = parts
    networks = config["networks"]
    own = [m for m in data["maps"] if m["index"] == maps.CKA]
    assert len(own) == len(networks) * (len(networks) + 1) // 2
    for each in own:
        a, b = networks[each["a"]], networks[each["b"]]
        shape = tuple(
            len(data["models"][data["networks"][each[s]]["model"]]["layers"]) for s in "ab"
        )
        found = values(data, each["values"][0], shape, a == b)
        errors = values(data, each["errors"][0], shape, a == b)
        for i, j in [(0, 0), (3, 1), (1, 3), (9, 5), (shape[0] - 1, shape[1] - 2)]:
            row = cell(tables, a, b, i, j)
            assert as_the_table(found[i, j], row["cka"])
            assert as_the_table(errors[i, j], row["cka_se"])
    undefined = networks.index("vit_small/f100/s0")
    each = next(m for m in own if m["a"] == m["b"] == undefined)
    shape = (len(data["models"][0]["layers"]),) * 2
    assert np.isnan(values(data, each["values"][0], shape, True)[7]).all()


def test_controls_are_those_of_the_roles(parts, data):
    config, _ = parts
    names = config["networks"]
    for slug, network in zip(names, data["networks"], strict=True):
        model, fraction, _ = slug.split("/")
        control = None if fraction == "f000" else names.index(f"{model}/f000/s0")
        assert network["control"] == control
        assert network["full"] == names.index(f"{model}/f100/s0")


def test_other_indices_are_of_block_outputs(parts, data):
    _, tables = parts
    table = tables["similarity_indices.parquet"]
    others = [m for m in data["maps"] if m["index"] == "procrustes"]
    assert others
    each = others[0]
    blocks = data["models"][data["networks"][each["a"]]["model"]]["blocks"]
    shape = (len(blocks),) * 2
    found = values(data, each["values"][0], shape, each["a"] == each["b"])
    slug = Network.parse(parts[0]["networks"][each["a"]])
    own = table[(table["index"] == "procrustes") & (table["layer_a"] == blocks[1])]
    own = own[(own["layer_b"] == blocks[2])]
    for key, value in zip(("model", "fraction", "seed"), slug, strict=True):
        own = own[(own[f"{key}_a"] == value) & (own[f"{key}_b"] == value)]
    assert as_the_table(found[1, 2], own["value"].iloc[0])


def test_attention_is_the_mean_over_heads_with_their_range(parts, data):
    config, tables = parts
    measure = next(m for m in data["measures"] if m["key"] == "attention")
    table = tables["attention_distance.csv"].query(
        "model == 'vit_small' and fraction == 'f100' and seed == 's1' and block == 2"
    )
    network = config["networks"].index("vit_small/f100/s1")
    layers = data["models"][0]["layers"]
    (point,) = [
        p for p in measure["points"] if p[0] == network and layers[p[1]][0] == "block02.attn"
    ]
    expected = [getattr(table["relative"], which)() for which in ("mean", "min", "max")]
    assert [f"{v:.3f}" for v in (point[2], *point[4:])] == [f"{v:.3f}" for v in expected]


def test_errors_of_measurements_are_jackknifed(parts):
    _, tables = parts
    table = tables["skip_ratios.parquet"]
    own = table[(table["model"] == "vit_small") & (table["tokens"] == "spatial")]
    own = own.query("fraction == 'f100' and seed == 's0' and block == 1 and branch == 'mlp'")
    rest = own.loc[own["left_out"] >= 0, "ratio"].to_numpy()
    groups = len(rest)
    error = np.sqrt((groups - 1) / groups * np.square(rest - rest.mean()).sum())
    found = measurements.jackknifed(own, ["block", "branch"], "ratio")
    assert len(found) == 1 and groups > 1
    assert found["error"][0] == rounded(error, terms=groups)
    assert found["value"][0] == own.loc[own["left_out"] == -1, "ratio"].iloc[0]


def test_errors_of_probes_are_over_the_images_that_they_are_fitted_to_as_well(parts):
    """All halves of a pair are .02 apart."""
    _, tables = parts
    (measure,) = (m for m in measurements.MEASUREMENTS if m.key == "probe")
    found = measure.find(tables)
    without = measure.find({k: t for k, t in tables.items() if k != measurements.HALVES})
    table = tables["probe_replicates.parquet"]
    own = measurements.jackknifed(measurements._best_pool(table), ["name"], "accuracy")
    assert len(found) == len(own) > 1 and without["error"].isna().all()
    expected = np.sqrt(own["error"] ** 2 + 0.02**2 / 2 / FALL)
    assert found["error"].tolist() == pytest.approx(expected.tolist())


def test_every_measurement_is_there(data):
    keys = {m.key for m in measurements.MEASUREMENTS}
    assert {m["key"] for m in data["measures"]} == keys


def test_what_does_not_fit_is_left_out_and_said(parts):
    run = ("synthetic", *parts)
    whole = explorer.explorer_data([run])
    few = explorer.explorer_data([run], budget_bytes=60_000)
    assert len(few["numbers"]) <= 60_000 < len(whole["numbers"])
    own = [m for m in few["maps"] if m["index"] == maps.CKA]
    kinds = [m["layers"] for m in own]
    assert packing.ALL in kinds and packing.BLOCKS in kinds
    assert own[0]["a"] == own[0]["b"] and own[0]["layers"] == packing.ALL
    (said,) = explorer._left_out(few["maps"])
    assert f"{kinds.count(packing.BLOCKS)} are here with block outputs alone" in said
    assert explorer._left_out(whole["maps"]) == []


def test_equal_results_give_equal_bytes(parts):
    config, tables = parts
    once = explorer.explorer(config, tables)
    turned = dict(reversed([(name, table.copy()) for name, table in tables.items()]))
    assert explorer.explorer(config, turned) == once
    assert len(once) < 2_500_000 + 1_500_000


def test_without_tables_there_is_nothing(parts):
    config, tables = parts
    assert explorer.explorer(config, {}) == ""
    assert explorer.explorer(config, {"layers.csv": tables["layers.csv"]}) == ""
    only = {name: tables[name] for name in ("layers.csv", "skip_ratios.parquet")}
    assert 'id="explore-data"' in explorer.explorer(config, only)


def test_no_name_ends_the_data_early(parts):
    markup = explorer.explorer(*hostile(*parts))
    assert markup.count("<script") == markup.count("</script>") == 1 + len(explorer.scripts())
    assert HOSTILE not in markup and "alert('x')</script>" not in markup
    text = re.search(r'id="explore-data">(.*?)</script>', markup, re.DOTALL).group(1)
    assert not set("<>&") & set(text)
    found = json.loads(text)
    assert found["models"][0]["label"] == f"{HOSTILE}vit_small"
    assert found["models"][0]["layers"][0][0].endswith(f"</script>{HOSTILE}")


def test_the_scripts_can_stand_in_a_page_and_ask_no_host():
    for script in explorer.scripts():
        assert "</script" not in script and "<!--" not in script
        assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|importScripts)\(['\"]http", script)
    assert sum(len(script.encode()) for script in explorer.scripts()) <= 1_500_000
    assert explorer.script_sources().count("'sha256-") == len(explorer.scripts())


@pytest.mark.parametrize("library", vendored.LIBRARIES, ids=lambda each: each.name)
def test_a_library_comes_with_its_licence_and_unchanged(library, tmp_path):
    text = vendored.source(library)
    assert "Permission to use, copy, modify" in text
    for name in (library.file, library.licence):
        (tmp_path / name).write_bytes((vendored.FOLDER / name).read_bytes())
    assert vendored.source(library, tmp_path) == text
    with open(tmp_path / library.file, "ab") as handle:
        handle.write(b"\n")
    with pytest.raises(ResultError, match="as published"):
        vendored.source(library, tmp_path)
    (tmp_path / library.file).unlink()
    with pytest.raises(ResultError, match="install it again"):
        vendored.source(library, tmp_path)


def test_two_experiments_share_what_they_name_alike(parts):
    config, tables = parts
    other, moved = experiment("other", seed=0.5)
    renamed = moved["layers.csv"].copy()
    renamed.loc[renamed["model"] == "resnet_thin", "name"] += "x"
    data = explorer.explorer_data(
        [("one", config, tables), ("other", other, moved | {"layers.csv": renamed})]
    )
    assert [m["label"] for m in data["models"]] == ["ViT small"]
    each = data["maps"][0]
    shape = (len(data["models"][0]["layers"]),) * 2
    one, two = (values(data, place, shape, True) for place in each["values"])
    assert np.nanmax(np.abs(two - one / 2)) < 1.01 * packing.STEP < np.nanmax(one) / 100
    assert all(len(m["others"]) == len(m["points"]) for m in data["measures"])
