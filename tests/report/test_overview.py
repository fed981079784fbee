"""The first screen: networks, images, maps, and how well the networks learned."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from sightlines.report import overview, pictures
from sightlines.results.selecting import cka_matrix, full_network
from tests.figures import tables as synthetic

CONFIG = synthetic.config()


def opened(source):
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))


def test_a_map_has_a_pixel_a_cell_its_first_row_below_and_grey_where_undefined():
    picture = opened(pictures.map_picture(np.array([[1, 0.5], [np.nan, 0]])))
    assert picture.size == (2, 2)
    assert picture.getpixel((0, 1)) == (251, 252, 191), "1 is magma's brightest"
    assert picture.getpixel((1, 0)) == (0, 0, 3), "0 its darkest"
    assert picture.getpixel((0, 0)) == (184, 188, 194)


@pytest.mark.whole
def test_maps_are_of_trained_networks_with_their_controls():
    tables = synthetic.all_tables(CONFIG, names=("cka.parquet", "layers.csv"))
    found = overview.maps(CONFIG, tables)
    assert [own["label"] for own in found] == ["ViT small", "ViT large", "Resnet thin"]
    matrix = cka_matrix(*tables.values(), *[full_network(CONFIG, "vit_small")] * 2)
    assert found[0]["trained"]["layers"] == len(matrix) and found[0]["untrained"]
    assert found[0]["trained"]["source"] == pictures.map_picture(matrix)
    assert overview.maps(CONFIG, {}) == []


def test_of_many_networks_each_family_has_a_map():
    config = synthetic.config(vits=("a", "b", "c", "d", "e"), fractions=("f100",))
    assert overview._spread(config, list(config["labels"])) == ["a", "b", "c", "resnet_thin"]


def test_lines_name_networks_and_images():
    assert overview.networks_line(CONFIG) == (
        "ViT small, ViT large, Resnet thin: 18 trained networks of 2 seeds, 6 untrained as controls"
    )
    splits = {"splits": {"reference_batches": 10, "reference_batch_size": 128}}
    told = {"kind": "shapes", "counts": {"train": 1200, "test": 300}, "size_px": 32, "classes": [1]}
    assert overview.images_line({"config": splits}, told) == (
        "shapes, 1,200 train, 300 test, 32 × 32 px, 1 classes, 1,280 reference images in "
        "minibatches of 128"
    )
    many = synthetic.config(vits=[f"vit_{n}" for n in range(20)], seeds=("s0",))
    assert " and 9 more: " in overview.networks_line(many)


def test_learning_is_told_of_every_model_and_too_little_is_flagged():
    accuracy = synthetic.accuracy(CONFIG)
    rows = (accuracy["model"] == "vit_large") & (accuracy["fraction"] == "f100")
    accuracy.loc[rows, "accuracy_test"] = 0.11
    accuracy.loc[accuracy["model"] == "resnet_thin", "accuracy_test"] = np.nan
    found = {name: rest for name, *rest in overview.learned(CONFIG, accuracy)}
    own = accuracy.query("model == 'vit_small' and fraction == 'f100'")["accuracy_test"] * 100
    assert found["ViT small"] == [
        f"{own.mean():.1f} %",
        f"2: {own.min():.1f} to {own.max():.1f}",
        False,
    ]
    assert found["ViT large"][2] and found["Resnet thin"] == ["not known", "", False]
    assert overview.learned(CONFIG, None) == []


def test_a_figure_keeps_its_pixels_in_fewer_bytes(tmp_path):
    path = tmp_path / "a.png"
    pixels = np.full((300, 700, 3), 255, np.uint8)
    pixels[50:60], pixels[100:200, 100:200] = (0, 114, 178), (213, 94, 0)
    Image.fromarray(pixels).save(path)
    found = pictures.figure_picture(path)
    assert (found["width"], found["height"]) == (336, 144)
    again = np.asarray(opened(found["source"]).convert("RGB"), int)
    assert np.abs(again - pixels).max() <= 16, "colours of a palette"
    assert found == pictures.figure_picture(path)


@pytest.mark.parametrize("values", [np.full((3, 3), np.nan), np.array([[1.5, -0.2], [0, 1]])])
def test_maps_take_what_lies_outside_of_the_scale(values):
    assert opened(pictures.map_picture(values)).size == values.shape[::-1]
