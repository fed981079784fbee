"""Cue conflicts: names say what photographs show, and what is wrong is listed at once."""

import logging
import os

import numpy as np
import pytest
from PIL import Image

from sightlines.core.errors import DataError, MissingSourceError
from sightlines.core.files import TensorReader, read_json, sha256
from sightlines.datasets import cue_conflicts, shapes
from sightlines.jobs.command import Job
from tests.datasets.test_shapes import SMALL
from tests.making_jobs import LOG

GOOD = ("cat1-dog2.png", "cat/cat2-cat1.png", "dog/dog10-cat3.JPG", "dog1-dog1.png")


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def folder(tmp_path, *names):
    root = tmp_path / "stimuli"
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (len(name), 0, 0)).save(root / name, "PNG")
    return root


def test_names_say_outline_and_surface(tmp_path):
    root = folder(tmp_path, *GOOD, ".hidden/cat9-dog9.png", ".DS_Store")
    found, offences = cue_conflicts.scan(root)
    assert offences == []
    assert [tuple(p) for p in found] == [
        ("cat/cat2-cat1.png", "cat", "cat"),
        ("cat1-dog2.png", "cat", "dog"),
        ("dog/dog10-cat3.JPG", "dog", "cat"),
        ("dog1-dog1.png", "dog", "dog"),
    ]
    tensors, meta = cue_conflicts.of_folder(root)
    assert meta["categories"] == ["cat", "dog"]
    assert tensors["shape.conflict"].tolist() == [0, 0, 1, 1]
    assert tensors["texture.conflict"].tolist() == [0, 1, 0, 1]


def test_all_offences_of_a_folder_are_listed_at_once(tmp_path):
    root = folder(tmp_path, *GOOD, "cat1.png", "cat-dog.png", "Cat1-dog1.png", "cat3-dgo1.png")
    (root / "notes.txt").write_text("no image")
    with pytest.raises(DataError) as caught:
        cue_conflicts.fingerprint("stimuli", tmp_path)
    told = str(caught.value)
    assert "has 5 problems" in told and "notes.txt: no image by its ending" in told
    for name in ("cat1.png", "cat-dog.png", "Cat1-dog1.png"):
        assert f"{name}: not named <shape><n>-<texture><n>.png, such as cat3-clock2.png" in told
    assert "cat3-dgo1.png: dgo is the texture of an image and the shape of none" in told


def test_links_out_of_the_folder_and_unreadable_folders_are_named(tmp_path, monkeypatch):
    root = folder(tmp_path, *GOOD, "shut/cat5-dog5.png")
    outside = folder(tmp_path / "elsewhere", "cat7-dog7.png")
    (root / "cat7-dog7.png").symlink_to(outside / "cat7-dog7.png")
    (root / "more").symlink_to(outside, target_is_directory=True)
    (root / "inside").symlink_to(root / "cat", target_is_directory=True)
    (root / "up").symlink_to(root, target_is_directory=True)
    listing = os.scandir

    def refuse(path="."):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found, offences = cue_conflicts.scan(root)
    assert sorted(offences) == [
        "cat7-dog7.png: a link that leads out of the folder: put what it leads to in its place, "
        "or remove it",
        "more: a link that leads out of the folder: put what it leads to in its place, or "
        "remove it",
        "shut: cannot be listed (Permission denied): mend its permissions, or remove it",
    ]
    assert [p.path for p in found] == sorted(GOOD), "each once, whatever leads to it"


def test_a_missing_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(MissingSourceError, match=r"set conflicts\.folder to a folder below data_"):
        cue_conflicts.fingerprint("stimuli", tmp_path)
    (tmp_path / "stimuli").mkdir()
    with pytest.raises(DataError, match="it has no image named <shape>"):
        cue_conflicts.fingerprint("stimuli", tmp_path)
    assert cue_conflicts.fingerprint("", tmp_path) == ""


def test_names_and_contents_are_its_identity(tmp_path):
    root = folder(tmp_path, *GOOD)
    first = cue_conflicts.fingerprint("stimuli", tmp_path)
    assert first == cue_conflicts.fingerprint("stimuli", tmp_path)
    (root / "cat1-dog2.png").rename(root / "cat1-dog3.png")
    renamed = cue_conflicts.fingerprint("stimuli", tmp_path)
    (root / "cat1-dog3.png").write_bytes(b"other")
    assert len({first, renamed, cue_conflicts.fingerprint("stimuli", tmp_path)}) == 3


def run(tmp_path, dataset, named="", source=None):
    config = {"conflicts": {"folder": named}}
    config["source"] = cue_conflicts.fingerprint(named, tmp_path) if source is None else source
    out = tmp_path / "conflicts.safetensors"
    job = Job(
        name="data/conflicts",
        config=config,
        inputs={"dataset": [dataset]},
        outputs={"splits": [out]},
        source=tmp_path,
        log=logging.getLogger("sightlines.tests"),
    )
    cue_conflicts.main(job)
    return TensorReader(out)


def prepared(tmp_path, **settings):
    small = {"n_train": 20, "n_test": 20, "n_conflict": 90, "n_silhouette": 10}
    shapes.prepare(SMALL | small | settings, tmp_path, tmp_path / "data", LOG)
    return tmp_path / "data" / "dataset.json"


def test_generated_images_bring_their_truth(tmp_path):
    dataset = prepared(tmp_path, texture_match=1.0)
    found = run(tmp_path, dataset)
    assert found.meta["categories"] == read_json(dataset)["classes"]
    assert found.meta["dataset_sha256"] == sha256(dataset)
    assert found.meta["subsets"] == ["conflict", "silhouette"] and found.meta["cue_match"] == 1
    shape, texture = (np.asarray(found[f"{cue}.conflict"]) for cue in ("shape", "texture"))
    pairs = {*zip(shape.tolist(), texture.tolist(), strict=True)}
    assert len(pairs) == 90 and not any(a == b for a, b in pairs)
    assert len(np.asarray(found["shape.silhouette"])) == 10 and "texture.silhouette" not in found


def test_a_dataset_without_conflicts_and_edited_photographs_are_refused(tmp_path):
    dataset = prepared(tmp_path, n_conflict=0, n_silhouette=0)
    with pytest.raises(DataError, match=r"raise dataset.n_conflict, or set conflicts\.folder"):
        run(tmp_path, dataset)
    folder(tmp_path, *GOOD)
    assert run(tmp_path, dataset, "stimuli").meta["paths"][0] == "cat/cat2-cat1.png"
    with pytest.raises(DataError, match="changed since snakemake started"):
        run(tmp_path, dataset, "stimuli", source="other")
