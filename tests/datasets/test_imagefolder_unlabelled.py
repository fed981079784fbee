"""Photographs without labels: enough where nothing needs them, else refused with the reason."""

import pandas as pd
import pytest

from sightlines.core.errors import DataError
from sightlines.core.files import TensorReader
from sightlines.datasets import imagefolder, prepare, split
from sightlines.datasets.store import UNLABELLED, read_dataset, read_labels
from tests import making_jobs
from tests.datasets.test_imagefolder import SETTINGS, make_folder, picture
from tests.dumps.making_experiments import VIT, make_dataset, make_network, record
from tests.measures.test_cka import run_main

FLAT = SETTINGS | {"size_px": 16, "test_share": 0.5}
NEEDS = ("vit is trained on these images",)
SPLITS = {"validation": 10, "reference_batches": 4, "reference_batch_size": 8}
LAYOUTS = {
    "flat": "{i:02}.png",
    "a single class": "all/{i:02}.png",
    "one photograph a class": "{i:02}/x.png",
}
"""In each the photographs have one order."""


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def photographs(root, layout, count=64):
    for i in range(count):
        path = root / LAYOUTS[layout].format(i=i)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(i).save(path)
    return root


def prepared(tmp_path, settings=FLAT, needs=()):
    """The folder's dataset.json, made by the command as Snakemake plans it."""
    source = prepare.identity(settings, tmp_path, needs)
    files = [tmp_path / "data" / name for name in imagefolder.FILES]
    config = {"dataset": settings, "source": source}
    prepare.main(making_jobs.make_job(config, {}, {"files": files}, tmp_path))
    return tmp_path / "data" / "dataset.json"


def divided(tmp_path, dataset, part):
    path = tmp_path / f"{'splits' if part == 'training' else part}.safetensors"
    config = {"part": part, "splits": SPLITS, "seed": 0}
    split.main(making_jobs.make_job(config, {"dataset": dataset}, {"splits": path}, tmp_path))
    return path


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """Of each layout dataset.json, how its training images are divided, and the CKA table."""
    found = {}
    for layout in LAYOUTS:
        here = tmp_path_factory.mktemp("unlabelled")
        photographs(here / "mine", layout)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(here)
            dataset = prepared(here)
        make_network(here, VIT, make_dataset(here / "other", size_px=16))
        reference = divided(here, dataset, "reference")
        record("gram", here, dataset, reference, here / "gram.safetensors")
        training = TensorReader(divided(here, dataset, "training"))
        tables = run_main(here, [here / "gram.safetensors"], ["vit/f000/s0"])
        found[layout] = dataset, training, tables["cka"]
    return found


def test_the_layout_changes_no_similarity(layouts):
    flat = layouts["flat"][2]
    assert len(flat) > 20 and flat["cka"].notna().all()
    for layout in LAYOUTS:
        pd.testing.assert_frame_equal(layouts[layout][2], flat)


def test_images_are_divided_without_regard_to_classes(layouts):
    tables = {n: pd.read_parquet(d.parent / "manifest.parquet") for n, (d, *_) in layouts.items()}
    flat = tables["flat"]
    assert (flat["split"] == "test").sum() == 32
    smallest = flat["sha256"].sort_values().head(32)
    assert set(flat.loc[flat["split"] == "test", "sha256"]) == set(smallest)
    for layout, (_, training, _) in layouts.items():
        assert tables[layout][["split", "sha256"]].equals(flat[["split", "sha256"]])
        assert len(training["validation"]) == 10 and len(training["train"]) == 22


def test_classes_that_there_are_stay_known(layouts):
    classes = {layout: read_dataset(d)["classes"] for layout, (d, *_) in layouts.items()}
    assert classes["flat"] == [] and classes["a single class"] == ["all"]
    assert classes["one photograph a class"] == [f"{i:02}" for i in range(64)]
    for dataset, *_ in layouts.values():
        facts = read_dataset(dataset)
        assert facts["stratified"] is False and facts["counts"] == {"train": 32, "test": 32}
        labels = read_labels(dataset, facts, "test")
        assert len(set(labels)) == (32 if len(facts["classes"]) == 64 else 1)


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ("flat", "4 photographs without a class"),
        ("a single class", "1 classes: at least two"),
        ("one photograph a class", "00: one image, but one is needed to train"),
    ],
)
def test_where_labels_are_needed_the_reason_and_both_cures_are_said(tmp_path, layout, said):
    photographs(tmp_path / "mine", layout, count=4)
    with pytest.raises(DataError) as caught:
        prepare.identity(FLAT, tmp_path, NEEDS)
    message = str(caught.value)
    assert said in message and NEEDS[0] in message
    assert "Imported networks" in message and "splits.probe_train" in message


def test_a_folder_whose_classes_count_is_the_same_with_and_without_need_of_labels(tmp_path):
    make_folder(tmp_path / "mine")
    with_labels = prepare.identity(FLAT, tmp_path, NEEDS)
    assert prepare.identity(FLAT, tmp_path, ()) == with_labels
    assert not with_labels.endswith(UNLABELLED)
    facts = read_dataset(prepared(tmp_path))
    assert "stratified" not in facts and facts["classes"] == ["cat", "dog"]


def test_train_and_val_may_lie_without_classes(tmp_path):
    photographs(tmp_path / "mine" / "train", "flat", count=5)
    for i in range(3):
        (tmp_path / "mine" / "val").mkdir(exist_ok=True)
        picture(100 + i).save(tmp_path / "mine" / "val" / f"{i}.png")
    assert read_dataset(prepared(tmp_path))["counts"] == {"train": 5, "test": 3}
    with pytest.raises(DataError, match="8 photographs without a class"):
        prepare.identity(FLAT, tmp_path, NEEDS)


def test_an_empty_class_and_one_that_val_lacks_matter_only_to_labels(tmp_path):
    make_folder(tmp_path / "mine" / "train", ("cat", "dog"))
    make_folder(tmp_path / "mine" / "val", ("cat",), first=1000)
    (tmp_path / "mine" / "train" / "eel").mkdir()
    assert read_dataset(prepared(tmp_path))["counts"] == {"train": 10, "test": 5}
    with pytest.raises(DataError) as caught:
        prepare.identity(FLAT, tmp_path, NEEDS)
    assert "train/eel: an empty class" in str(caught.value)
    assert "val: lacks the class 'dog'" in str(caught.value)


def test_what_contradicts_itself_is_refused_in_any_case(tmp_path):
    root = make_folder(tmp_path / "mine", ("cat", "Cat", "dog"))
    (root / "dog" / "9.png").write_bytes((root / "cat" / "0.png").read_bytes())
    with pytest.raises(DataError) as caught:
        prepare.identity(FLAT, tmp_path, ())
    assert "two names for one class: 'Cat', 'cat'" in str(caught.value)
    assert "under the classes 'cat' and 'dog'" in str(caught.value)


def test_a_photograph_in_train_and_in_val_is_refused_without_classes_too(tmp_path):
    photographs(tmp_path / "mine" / "train", "flat", count=3)
    (tmp_path / "mine" / "val").mkdir()
    picture(1).save(tmp_path / "mine" / "val" / "same.png")
    with pytest.raises(DataError, match=r"same\.png: .* as train/01\.png, in train and in val"):
        prepare.identity(FLAT, tmp_path, ())


@pytest.mark.parametrize(("copies", "differ"), [(0, 0), (1, 1), (3, 1)])
def test_two_photographs_that_differ_are_needed(tmp_path, copies, differ):
    (tmp_path / "mine").mkdir()
    for i in range(copies):
        picture(1).save(tmp_path / "mine" / f"{i}.png")
    with pytest.raises(DataError, match=f"{differ} photographs that differ, but 2 are needed"):
        prepare.identity(FLAT, tmp_path, ())


def test_photographs_beside_classes_are_never_left_out(tmp_path):
    root = make_folder(tmp_path / "mine")
    picture(7).save(root / "loose.png")
    with pytest.raises(DataError, match=r"loose\.png: a file outside of any class"):
        prepare.identity(FLAT, tmp_path, ())
