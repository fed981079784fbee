"""Folders of photographs: damaged, misplaced, hostile, edited under way."""

import contextlib
import io
import logging
from pathlib import Path

import numpy as np
from PIL import Image

from sightlines.core.errors import DataError, MissingSourceError
from sightlines.datasets import imagefolder, prepare
from sightlines.run import dump
from tests.bad_input.catalogue import case, job
from tests.datasets.test_imagefolder import bomb
from tests.dumps.making_experiments import COMPUTE, VIT, make_network, make_reference

SETTINGS = {"kind": "imagefolder", "folder": "mine", "size_px": 16, "test_share": 0.4}
MEND = "\nMend or remove them, then run snakemake again."


def photograph(kind="PNG") -> bytes:
    ramp = np.arange(40 * 30 * 3).reshape(30, 40, 3) * 7 % 251
    buffer = io.BytesIO()
    Image.fromarray(ramp.astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def folder(here: Path, *classes: str) -> Path:
    """Five photographs in each class."""
    root = here / "sources" / "mine"
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(5):
            (root / name / f"{i}.png").write_bytes(photograph() + bytes([c, i]))
    return root


def prepared(here: Path):
    """`sightlines.datasets.prepare` with the fingerprint of now.

    Of a folder whose names alone are wrong there is none: Snakemake stops before any job, with
    the message that the command gives too.
    """
    source = here / "sources"
    now = ""
    with contextlib.suppress(DataError):
        now = imagefolder.fingerprint(SETTINGS, source)
    config = {"dataset": SETTINGS, "source": now}
    files = [here / "data" / name for name in imagefolder.FILES]
    return job(prepare.main, config, {}, {"files": files}, source)


def copied(old: Path, new: Path) -> None:
    """The same photograph once more."""
    new.parent.mkdir(exist_ok=True)
    new.write_bytes(old.read_bytes())


def offence(*lines):
    s = "s" if len(lines) > 1 else ""
    listed = "".join(f"\n  {line}" for line in lines)
    message = f"{{here}}/sources/mine has {len(lines)} offence{s}:{listed}{MEND}"
    return case("images", DataError, message)


@offence(
    "cat/cut.jpg: truncated or damaged (image file is truncated (13 bytes not processed))",
    "cat/zero.png: empty file",
)
def photographs_cut_off_and_empty(here):
    root = folder(here, "cat", "dog")
    (root / "cat" / "cut.jpg").write_bytes(photograph("JPEG")[:-200])
    (root / "cat" / "zero.png").write_bytes(b"")
    return prepared(here)


@offence("cat/text.jpg: not an image of a known format, or damaged at its start")
def text_with_an_image_s_name(here):
    (folder(here, "cat", "dog") / "cat" / "text.jpg").write_text("no image")
    return prepared(here)


@offence(
    "cat/film.mp4: not an image that sightlines reads (JPEG, PNG, BMP, GIF, TIFF, WebP, PPM, AVIF)",
    "loose.png: a file outside of any class's folder",
)
def files_that_do_not_belong(here):
    root = folder(here, "cat", "dog")
    (root / "cat" / "film.mp4").write_bytes(b"x")
    (root / "loose.png").write_bytes(photograph())
    return prepared(here)


@offence(
    "cat/bomb.png: 60000 x 60000 px: more than 179 megapixels; set dataset.max_megapixels to 3600, "
    "or make it smaller"
)
def decompression_bomb(here):
    (folder(here, "cat", "dog") / "cat" / "bomb.png").write_bytes(bomb())
    return prepared(here)


@offence("eel: an empty class, without a single image")
def class_without_images(here):
    (folder(here, "cat", "dog") / "eel").mkdir()
    return prepared(here)


@offence("two names for one class: 'Dog', 'dog'")
def two_names_for_one_class(here):
    folder(here, "cat", "dog", "Dog")
    return prepared(here)


@offence(
    "cat/all: a link to a folder that it lies in: a cycle",
    "dog/gone.png: a link that leads nowhere: there is no {here}/nothing; put it there, or remove "
    "the link",
    "dog/passwd.png: not an image of a known format, or damaged at its start",
)
def links_to_nothing_to_a_stranger_s_text_and_in_a_circle(here):
    root = folder(here, "cat", "dog")
    (root / "cat" / "all").symlink_to("..")
    (root / "dog" / "passwd.png").symlink_to("/etc/passwd")
    (root / "dog" / "gone.png").symlink_to(here / "nothing")
    return prepared(here)


@offence("cat/a\nb.png: its name has control characters")
def name_with_a_line_break(here):
    (folder(here, "cat", "dog") / "cat" / "a\nb.png").write_bytes(photograph())
    return prepared(here)


@offence("train: lacks the class 'eel'")
def val_with_a_class_that_train_lacks(here):
    folder(here, "train/cat", "train/dog", "val/cat", "val/dog", "val/eel")
    return prepared(here)


@offence(
    "val/cat/9.png: the same photograph as train/cat/0.png, in train and in val: "
    "keep one of the two",
    "val/dog/9.png: the same photograph as train/cat/1.png, under the classes 'cat' and 'dog' and "
    "in train and in val: keep one of the two",
)
def photographs_to_train_on_and_to_test_on(here):
    root = folder(here, "train/cat", "train/dog", "val/cat", "val/dog")
    (root / "val" / "cat" / "9.png").symlink_to(root / "train" / "cat" / "0.png")
    copied(root / "train" / "cat" / "1.png", root / "val" / "dog" / "9.png")
    return prepared(here)


@offence(
    "dog: 3 copies of one photograph: add one that differs",
    "eel/0.png: the same photograph as cat/0.png, under the classes 'cat' and 'eel': "
    "keep one of the two",
)
def copies_under_two_classes_and_a_class_of_copies(here):
    root = folder(here, "cat", "eel")
    copied(root / "cat" / "0.png", root / "eel" / "0.png")
    for i in range(3):
        copied(root / "eel" / "1.png", root / "dog" / f"{i}.png")
    (root / "eel" / "1.png").unlink()
    return prepared(here)


@case(
    "images",
    MissingSourceError,
    "there is no image folder {here}/sources/mine: set dataset.folder to a folder below "
    "data_root (or below SIGHTLINES_DATA), with one folder of images per class",
)
def no_folder_of_images(here):
    config = {"dataset": SETTINGS, "source": ""}
    files = [here / "data" / name for name in imagefolder.FILES]
    return job(prepare.main, config, {}, {"files": files}, here / "sources")


@case(
    "images",
    DataError,
    "the images in {here}/sources changed since snakemake started: run snakemake again",
)
def photograph_edited_after_the_start(here):
    root = folder(here, "cat", "dog")
    command = prepared(here)
    (root / "cat" / "0.png").write_bytes(photograph() + b"edited")
    return command


@case(
    "images",
    DataError,
    "the photograph {here}/sources/mine/dog/0.png was edited since the dataset was prepared: "
    "run snakemake again",
)
def photograph_edited_before_it_is_decoded(here):
    root, source = folder(here, "cat", "dog"), here / "sources"
    imagefolder.prepare(SETTINGS, source, here / "data", logging.getLogger("tests"))
    dataset = here / "data" / "dataset.json"
    make_network(here, VIT, dataset)
    inputs = {"dataset": dataset, "splits": make_reference(dataset, here / "reference", [4])}
    inputs |= {name.split(".")[0]: here / name for name in ("weights.safetensors", "card.json")}
    config = {"network": ["vit", "f000", "s0"], "compute": COMPUTE}
    for path in root.glob("dog/*.png"):
        path.write_bytes(path.read_bytes() + b"edited")
    outputs = {"dump": here / "dump.safetensors"}
    return job(dump.main, config, inputs, outputs, source, member="gram")
