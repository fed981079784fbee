"""Public networks on photographs, end to end: files of weights, another size each, no training."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from sightlines.models.building import build
from tests.rounding import assert_rounded

from .conftest import ok, snakemake
from .planning import planned

pytestmark = pytest.mark.workflow

WNIDS = ("n01440764", "n02102040", "n02979186")
VIT = {
    "family": "timm",
    "name": "vit_tiny_patch16_224",
    "weights": "weights/vit.safetensors",
    "arguments": {"depth": 2, "embed_dim": 24, "num_heads": 3},
    "size_px": 64,
}
CNN = {
    "family": "timm",
    "name": "mobilenetv2_035",
    "weights": "weights/cnn.pth",
    "arguments": {"pad_type": "same"},
    "size_px": 96,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
HEADLESS = VIT | {"weights": "hub", "num_classes": 0}
LISTED = {
    "family": "timm",
    "name": "regnetx_002",
    "weights": "weights/listed.pth",
    "size_px": 64,
    "layers": ["s1", "s2", "s3", "s4"],
}
"""Of blocks that sightlines does not know."""
ON_HUB = "hub/timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k/model.safetensors"
CONFIG = {
    "dataset": {"kind": "imagefolder", "folder": "photos", "size_px": 64, "test_share": 0.7},
    "splits": {
        "validation": 12,
        "reference_batches": 8,
        "reference_batch_size": 12,
        "probe_train": 24,
        "probe_held_out": 12,
        "probe_test": 24,
    },
    "models": {"vit": VIT, "cnn": CNN, "headless": HEADLESS, "listed": LISTED},
    "runs": [
        {"models": ["vit", "cnn"], "fractions": ["f100", "f000"], "seeds": ["s0"]},
        {"models": ["headless", "listed"], "fractions": ["f100"], "seeds": ["s0"]},
    ],
    "require_equal_grids": False,
    "controls": 1,
    "compute": {"batch_size": 32},
    "probes": {"shots": 3, "token_depths": 2, "token_train": 20, "token_test": 20},
    "receptive_field": {"images": 8, "channels": 2, "depths": 2},
    "conditions": {
        "images": 36,
        "occlusion": {
            "shares": [0.5],
            "mean_shares": [0.5],
            "other_cells": [],
            "depth": ["shuffle:2"],
        },
        "lesion": {"shares": [0.25]},
        "cutout": {"shares": [0.4], "mean_shares": []},
    },
}


def weights(model, size_px, seed):
    """Weights that answer: the last layer says `tench` more often than not."""
    network = build(model, size_px, 1000, seed)
    head = network.get_classifier()
    with torch.no_grad():
        head.bias.zero_()
        head.bias[0] = 100
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    rng = np.random.default_rng(0)
    for wnid in WNIDS:
        (folder / "photos" / wnid).mkdir(parents=True)
        for number in range(55):
            coarse = rng.integers(0, 255, (6, 7, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((110, 90 + number), Image.Resampling.BICUBIC)
            image.save(folder / "photos" / wnid / f"{number}.jpg")
    (folder / "weights").mkdir()
    save_file(weights(VIT, 64, 1), folder / "weights" / "vit.safetensors")
    headless = build(HEADLESS, 64, 0, seed=5).state_dict()
    (folder / ON_HUB).parent.mkdir(parents=True)  # where a machine without network has it
    save_file({k: v.clone() for k, v in headless.items()}, folder / ON_HUB)
    torch.save({"state_dict": weights(CNN, 96, 1)}, folder / "weights" / "cnn.pth")
    torch.save(weights(LISTED, 64, 1), folder / "weights" / "listed.pth")
    (folder / "public.yaml").write_text(yaml.safe_dump(CONFIG))
    ok(call(folder, "--cores", "2"))
    return folder


def beside(here, folder, photos=True):
    """Another folder with these photographs and weights, and what timm answered about its models.

    It answers in 4 s of a processor, and here again only to what is new.
    """
    for name in (".cache/sightlines/timm", "weights", *["photos"] * photos):
        shutil.copytree(here / name, folder / name)
    return folder


def call(folder, *arguments, config="public.yaml"):
    return snakemake(
        folder, "--configfile", folder / config, *arguments, SIGHTLINES_DATA=str(folder)
    )


def test_every_figure_that_applies_is_there_and_no_curve_of_a_training(here):
    figures = {path.stem for path in (here / "results/public/figures").glob("*.svg")}
    assert figures >= {
        *("fig01_cka_within", "fig02_cka_across", "fig03_attention_distance", "fig05_head_subsets"),
        *("fig06_receptive_fields", "fig07_skip_ratios", "fig09_localisation"),
        *("fig13_probes_by_depth", "figA_estimator"),
    }
    assert not figures & {"training_curves", "accuracy_by_fraction", "fig12_data_fractions"}
    assert (here / "results/public/report.html").stat().st_size > 100_000


def test_each_network_saw_its_own_size(here):
    for model, size_px, grid in (("vit", 64, [4, 4]), ("cnn", 96, [3, 3])):
        card = json.loads((here / f"results/public/models/{model}/f100/s0/card.json").read_text())
        assert (card["size_px"], card["grid"]) == (size_px, grid)
        assert card["origin"].startswith(f"file:{CONFIG['models'][model]['weights']} sha256:")
        assert len(card["classes"]) == 1000 and card["resampled"] == []
    card = json.loads((here / "results/public/models/headless/f100/s0/card.json").read_text())
    assert card["origin"].startswith(f"file:{ON_HUB} sha256:") and card["classes"] == []


def test_accuracy_is_over_all_outputs_and_all_photographs(here):
    table = pd.read_csv(here / "results/public/tables/accuracy.csv")
    full = table[(table["fraction"] == "f100") & (table["model"] != "headless")]
    assert len(full) == 3
    assert (full["all_images"] == 165).all()
    # The table has nine digits, as many as float32 can tell apart.
    assert_rounded(full["accuracy_all"], 1 / 3, terms=1, dtype=np.float32, c=1)
    assert (full["chance"] == 0.001).all()
    assert table.loc[table["fraction"] == "f000", "accuracy_all"].isna().all()


def test_a_network_without_outputs_has_no_accuracy_and_all_the_rest(here):
    table = pd.read_csv(here / "results/public/tables/accuracy.csv")
    own = table[table["model"] == "headless"].iloc[0]
    assert np.isnan(own["accuracy_test"]) and np.isnan(own["accuracy_all"])
    cka = pd.read_parquet(here / "results/public/tables/cka.parquet")
    assert (cka["model_a"] == "headless").any()
    assert "not known: other classes" in (here / "results/public/report.html").read_text()


def test_a_list_of_modules_is_enough_for_cka_probes_and_receptive_fields(here):
    tables = here / "results/public/tables"
    all_of_them, ends = {"s1", "s2", "s3", "s4"}, {"s1", "s4"}  # fields at two depths
    for name, expected in (("probes", all_of_them), ("receptive_fields", ends)):
        own = pd.read_parquet(tables / f"{name}.parquet").query("model == 'listed'")
        assert set(own["name"]) == expected, name
    cka = pd.read_parquet(tables / "cka.parquet")
    assert ((cka["model_a"] == "listed") & (cka["model_b"] == "vit")).any() or (
        (cka["model_a"] == "vit") & (cka["model_b"] == "listed")
    ).any()
    skips = pd.read_parquet(tables / "skip_ratios.parquet")
    assert not (skips["model"] == "listed").any() and (skips["model"] == "vit").any()


def test_nothing_is_left_to_do_even_where_the_weights_are_gone(here):
    assert planned(call(here, "-n")) == {}
    (here / "weights").rename(here / "elsewhere")
    try:
        assert planned(call(here, "-n")) == {}
    finally:
        (here / "elsewhere").rename(here / "weights")


def test_other_weights_import_one_network_anew(here):
    path = here / "weights" / "vit.safetensors"
    before = path.read_bytes()
    try:
        save_file(weights(VIT, 64, 2), path)
        jobs = planned(call(here, "-n"))
    finally:
        path.write_bytes(before)
    assert jobs["import_network"] == 1
    assert jobs["dump_gram"] == jobs["dump_attention"] == 1
    assert not {"prepare_dataset", "split_reference", "dump_pixels"} & jobs.keys()


def test_two_runs_give_the_same_bytes(here):
    name = "results/public/dumps/gram/cnn/f100/s0.safetensors"
    before = (here / name).read_bytes()
    ok(call(here, "--cores", "1", "--force", name))
    assert (here / name).read_bytes() == before


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("weights", "weights/none.safetensors", "there is no weight file .*none.safetensors"),
        ("weights", "../secret.pth", "neither absolute nor"),
        ("name", "vit_tinny_patch16_224", "nearest are vit_tiny_patch16_224"),
        ("size_px", 70, "do not divide images of 70 px: set size_px to 64"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(here, tmp_path, key, value, said):
    import re

    beside(here, tmp_path)
    odd = CONFIG | {"models": CONFIG["models"] | {"vit": VIT | {key: value}}}
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(odd))
    done = call(tmp_path, "-n", config="odd.yaml")
    text = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in text
    assert re.search(said, " ".join(text.split())), text


def test_photographs_need_no_classes_unless_probes_ask_for_them(here, tmp_path):
    beside(here, tmp_path, photos=False)
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(160):
        pixels = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    config = CONFIG | {"models": {"vit": VIT}, "runs": [CONFIG["runs"][0] | {"models": ["vit"]}]}
    splits = {k: v for k, v in CONFIG["splits"].items() if not k.startswith("probe")}
    for name, changes in (("probes", {}), ("flat", {"splits": splits})):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config | changes))
    refused = call(tmp_path, "-n", config="probes.yaml")
    said = " ".join((refused.stdout + refused.stderr).split())
    assert refused.returncode != 0 and "Traceback" not in said
    assert "160 photographs without a class" in said and "splits.probe_train" in said
    target = "results/flat/data/reference.safetensors"
    ok(call(tmp_path, "--cores", "1", target, config="flat.yaml"))
    (dataset,) = (tmp_path / "data").glob("imagefolder-photos-*/dataset.json")
    facts = json.loads(dataset.read_text())
    assert facts["classes"] == [] and facts["counts"] == {"train": 48, "test": 112}
    jobs = planned(call(tmp_path, "-n", config="flat.yaml"))
    assert jobs["import_network"] == 2 and jobs["draw_fig01_cka_within"] == 1
    assert not {"prepare_dataset", "measure_probes", "dump_features"} & jobs.keys()


def test_weights_of_another_model_are_refused_with_the_list(here, tmp_path):
    beside(here, tmp_path)
    state = weights(VIT, 64, 1)
    del state["norm.bias"]
    save_file(state, tmp_path / "weights/vit.safetensors")
    (tmp_path / "public.yaml").write_text(yaml.safe_dump(CONFIG))
    target = "results/public/models/vit/f100/s0/card.json"
    done = call(tmp_path, "--cores", "1", target)
    assert done.returncode != 0
    assert "norm.bias: missing" in done.stdout + done.stderr
    assert not (tmp_path / target).exists()


def test_trained_fractions_need_random_weights(here, tmp_path):
    beside(here, tmp_path)
    runs = [{"models": ["vit"], "fractions": ["f010"], "seeds": ["s0"]}]
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(CONFIG | {"runs": runs}))
    done = call(tmp_path, "-n", config="odd.yaml")
    assert done.returncode != 0 and "weights: random" in done.stdout + done.stderr
