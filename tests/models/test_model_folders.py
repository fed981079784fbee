"""Folders of networks: where they are looked for, and what their image processors say."""

import json

import pytest

from sightlines.core.errors import ConfigError, MissingSourceError
from sightlines.models import model_folders, output_names
from sightlines.models.timm_names import class_names, readable_names


def test_a_network_of_the_hub_is_found_in_its_cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache" / "hub" / "models--owner--vit"
    (folder / "snapshots" / "0123abc").mkdir(parents=True)
    (folder / "snapshots" / "0123abc" / "config.json").write_text("{}")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0123abc")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    for name in ("HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    found = model_folders.find("owner/vit", "main", tmp_path / "data", "config.json")
    assert found == folder / "snapshots" / "0123abc"
    with pytest.raises(MissingSourceError, match="hf download owner/other"):
        model_folders.find("owner/other", "main", tmp_path / "data", "config.json")
    with pytest.raises(ConfigError, match="below data_root"):
        model_folders.find("../vit", "main", tmp_path / "data", "config.json")


PROCESSORS = {  # processor of a published network, the view that it stands for
    "clip": (
        {"crop_size": 224, "do_center_crop": True, "size": 224, "resample": 3},
        (224, 1.0, "center"),
    ),
    "dinov2": (
        {
            "crop_size": {"height": 224, "width": 224},
            "do_center_crop": True,
            "size": {"shortest_edge": 256},
            "resample": 3,
        },
        (224, 224 / 256, "center"),
    ),
    "vit": ({"size": 224, "resample": 2}, (224, 1.0, "squash")),
    "deit": (
        {"size": 256, "crop_size": 224, "do_center_crop": True, "resample": 3},
        (224, 224 / 256, "center"),
    ),
    "convnext": (
        {
            "crop_pct": 0.875,
            "image_processor_type": "ConvNextImageProcessor",
            "size": {"shortest_edge": 224},
            "resample": 3,
        },
        (224, 0.875, "center"),
    ),
    "convnext_384": (
        {
            "crop_pct": None,
            "image_processor_type": "ConvNextFeatureExtractor",
            "size": 384,
            "resample": 3,
        },
        (384, 1.0, "squash"),
    ),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_image_processors_are_read(name):
    processor, (size_px, share, mode) = PROCESSORS[name]
    means = {"image_mean": [0.5] * 3, "image_std": 0.5}
    found = model_folders.view_of({"name": name}, processor | means)
    assert (found["size_px"], found["crop_mode"]) == (size_px, mode)
    assert found["crop_share"] == pytest.approx(share)
    assert found["std"] == [0.5] * 3


@pytest.mark.parametrize(
    ("processor", "said"),
    [
        ({"rescale_factor": 1 / 127.5}, "scales pixels"),
        ({"size": {"height": 224, "width": 196}}, "here they are square"),
        ({}, "set these keys"),
    ],
)
def test_what_cannot_be_seen_so_is_refused(processor, said):
    with pytest.raises(ConfigError, match=said):
        model_folders.view_of({"name": "odd"}, processor)


def test_an_index_stands_for_its_files(tmp_path):
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in ("one", "two"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())
    files = ["model.safetensors.index.json"]
    before = model_folders.identity(tmp_path, files)
    assert model_folders.digest(tmp_path, files) == before
    (tmp_path / "two.safetensors").write_bytes(b"other")
    assert model_folders.digest(tmp_path, files) != before
    (tmp_path / "one.safetensors").unlink()
    with pytest.raises(MissingSourceError, match=r"lacks one\.safetensors"):
        model_folders.identity(tmp_path, files)


def test_labels_that_are_imagenets_words_are_wordnet_ids():
    synsets, words = class_names(1000), readable_names()
    labels = [f"{words[synset][0].title()}, and so on" for synset in synsets]
    assert output_names.plain(labels) == synsets
    assert output_names.plain(labels[::-1]) == labels[::-1]
    assert output_names.plain(["LABEL_0", "LABEL_1"]) == ["0", "1"]
    assert output_names.plain(["ant", "bee"]) == ["ant", "bee"]
