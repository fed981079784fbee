"""Masks of photographs in their three customary forms, and all that can be wrong with them."""

import logging

import numpy as np
import pytest
from PIL import Image

from sightlines.core.errors import ConfigError, DataError, MissingSourceError, UnreadableError
from sightlines.core.files import read_table
from sightlines.datasets import imagefolder, masks, photograph_masks
from sightlines.datasets.photograph_masks import VOID, label_map, open_mask, read_mask, seen
from sightlines.datasets.views import View
from sightlines.jobs.command import Job
from tests.datasets.making_photographs import saved

SIZE = (12, 10)
LEVELS = {
    "palette": [0, 0, 7, 7, VOID, 3],
    "trimap": [2, 2, 1, 1, 3, 1],
    "black and white": [0, 0, 255, 255, 0, 255],
}
"""Of a strip of six levels in the first row; the others go on like it."""


def strip(levels, size=SIZE):
    wide, high = size
    return np.tile(np.repeat(np.array(levels, np.uint8), wide // len(levels)), (high, 1))


def mask_image(form, levels=None, size=SIZE):
    own = strip(levels or LEVELS[form], size)
    if form != "palette":
        return Image.fromarray(own)
    image = Image.fromarray(own, "P")
    image.putpalette([level * 3 % 256 for level in range(768)])
    return image


def photograph(seed, size=SIZE):
    pixels = np.random.Generator(np.random.Philox(seed)).integers(
        0, 256, (*size[::-1], 3), np.uint8
    )
    return saved(Image.fromarray(pixels))


@pytest.fixture
def source(tmp_path):
    """Five photographs of each of two classes, of which some are tests."""
    for c, name in enumerate(("cat", "dog")):
        folder = tmp_path / "sources" / "mine" / name
        folder.mkdir(parents=True)
        for i in range(5):
            (folder / f"{name}{i}.png").write_bytes(photograph(10 * c + i))
    return tmp_path / "sources"


SETTINGS = {"kind": "imagefolder", "folder": "mine", "size_px": 16, "masks": "outlines"}


def prepared(source, out, settings=SETTINGS):
    imagefolder.prepare(settings, source, out, logging.getLogger("test"))
    return out / "dataset.json"


def put_masks(source, form="palette", nested=True, ending="png"):
    for photo in sorted((source / "mine").rglob("*.png")):
        folder = source / "outlines" / (photo.parent.name if nested else "")
        folder.mkdir(parents=True, exist_ok=True)
        mask_image(form).save(folder / f"{photo.stem}.{ending}")


def listed(source, out):
    dataset = prepared(source, out)
    config = {"masks": "outlines", "source": photograph_masks.fingerprint(source / "outlines")}
    outputs = {"masks": [out / "masks.parquet"]}
    log = logging.getLogger("test")
    masks.main(Job("m", config, {"dataset": [dataset]}, outputs, source, log))
    return read_table(out / "masks.parquet")


@pytest.mark.parametrize("form", LEVELS)
@pytest.mark.parametrize("nested", [True, False])
def test_every_form_is_told_by_its_levels(source, tmp_path, form, nested):
    put_masks(source, form, nested)
    table = listed(source, tmp_path / "data")
    assert {*table["form"]} == {form} and len(table) == 2
    row = table.iloc[0]
    found = open_mask(source / row["path"], row["sha256"], SIZE, form)
    own = [0, 0, 7, 7, VOID, 3] if form == "palette" else [0, 0, 1, 1, VOID, 1]
    own[4] = 0 if form == "black and white" else own[4]
    assert (found == strip(own)).all()


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(strip([0, 0, 1, 1, 0, 1]).astype(bool)),
        Image.fromarray(strip([0, 0, 1, 1, 0, 1])),
        Image.fromarray(strip([0, 0, 255, 255, 0, 255])).convert("RGB"),
    ],
)
def test_black_and_white_has_many_modes(image):
    levels, found = read_mask(saved(image), SIZE)
    assert photograph_masks.form_of([found]) == "black and white"
    assert (label_map(levels, "black and white") == strip([0, 0, 1, 1, 0, 1])).all()


def test_masks_are_beside_the_photographs_and_no_part_of_them(source, tmp_path):
    bare = {key: value for key, value in SETTINGS.items() if key != "masks"}
    assert imagefolder.variant(SETTINGS) == imagefolder.variant(bare)
    one, other = (prepared(source, tmp_path / n, s) for n, s in (("a", SETTINGS), ("b", bare)))
    assert one.read_bytes() == other.read_bytes()
    with pytest.raises(ConfigError, match=r"dataset\.masks is '\.\./x'"):
        imagefolder.check(SETTINGS | {"masks": "../x"})


def test_all_that_is_wrong_is_said_at_once(source, tmp_path):
    put_masks(source, nested=False)
    tests = prepared(source, tmp_path / "a")
    table = read_table(tests.parent / "manifest.parquet")
    first, second = table.loc[table["split"] == "test", "path"].str.split("/").str[-1]
    folder = source / "outlines"
    mask_image("palette", size=(24, 10)).save(folder / first)
    (folder / second).unlink()
    with pytest.raises(DataError) as error:
        listed(source, tmp_path / "b")
    said = str(error.value)
    assert said.startswith("2 of 2 test photographs lack a mask")
    assert f"{first}: 24 × 10 px, but its photograph has 12 × 10" in said
    assert f"{second}: no mask of its name" in said


@pytest.mark.parametrize(
    ("form", "levels", "what"),
    [
        ("black and white", [0, 0, 128, 255, 0, 255], "levels 128 are of no mask that is read"),
        ("trimap", [2, 2, 4, 1, 3, 1], "levels 4 are of no mask that is read: the others are trim"),
        ("palette", None, "levels 0, 255 are of no mask that is read: the others are a palette"),
    ],
)
def test_unknown_levels_are_named(source, form, levels, what):
    put_masks(source, form)
    odd = source / "outlines" / "dog" / "dog1.png"
    mask_image("black and white" if levels is None else form, levels).save(odd)
    sizes = [(f"dog/dog{i}.png", *SIZE) for i in range(5)]
    _, _, offences = photograph_masks.examine(source / "outlines", sizes)
    assert len(offences) == 1 and offences[0].startswith("dog/dog1.png: ") and what in offences[0]


def test_two_masks_of_one_name_are_named(source):
    put_masks(source)
    put_masks(source, ending="bmp", form="black and white")
    _, _, offences = photograph_masks.examine(source / "outlines", [("cat/cat0.png", *SIZE)])
    assert offences == ["cat/cat0.png: 2 masks (cat/cat0.bmp, cat/cat0.png): keep one"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "not a mask image, or damaged"),
        (b"GIF89a", "not a mask image, or damaged"),
        (saved(mask_image("trimap"))[:60], "not a mask image, or damaged"),
        (saved(mask_image("trimap"), "JPEG"), "not a mask image, or damaged"),
        (saved(Image.fromarray(strip([0, 1, 2, 3, 4, 5]).astype(np.uint16))), "mode I;16"),
        (photograph(3), "colours without a palette"),
        (saved(mask_image("trimap", size=(18, 10))), "18 × 10 px, but its photograph has 12"),
        (saved(Image.new("L", (10, 12), 1)), "turned by its EXIF"),
    ],
)
def test_what_is_no_mask_says_why(content, what):
    with pytest.raises(UnreadableError, match=what):
        read_mask(content, SIZE)


def test_a_mask_of_another_size_is_not_decoded(monkeypatch):
    """A few bytes can stand for gigabytes: none of them is unpacked."""
    content = saved(Image.new("L", (4000, 4000)))

    def unpacked(*_):
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", unpacked)
    with pytest.raises(UnreadableError, match="4000 × 4000 px"):
        read_mask(content, SIZE)


def test_without_the_folder_its_place_is_said(tmp_path):
    with pytest.raises(MissingSourceError, match=r"no folder of masks .*outlines.*dataset\.masks"):
        photograph_masks.fingerprint(tmp_path / "outlines")


def test_an_edited_mask_has_another_fingerprint(source):
    put_masks(source)
    before = photograph_masks.fingerprint(source / "outlines")
    mask_image("palette", [0, 0, 7, 7, 7, 3]).save(source / "outlines" / "dog" / "dog1.png")
    assert photograph_masks.fingerprint(source / "outlines") != before


@pytest.mark.parametrize("view", [View(4), View(8, crop_share=0.8), View(6, crop_mode="squash")])
def test_a_mask_is_cut_as_its_photograph_is(view):
    """As Pillow cuts and scales with the nearest pixel."""
    labels = np.random.Generator(np.random.Philox(1)).integers(0, 4, (31, 47)).astype(np.uint8)
    box, size = view.box(47, 31), (view.size_px, view.size_px)
    expected = Image.fromarray(labels).resize(size, Image.Resampling.NEAREST, box=box)
    assert (seen(labels, view) == np.asarray(expected)).all()
