"""Folders of photographs: damaged, misplaced, hostile, edited under way."""

import contextlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from sightlines.core.errors import DataError, MissingSourceError
from sightlines.datasets import imagefolder, prepare
from sightlines.run import dump
from tests.bad_input.catalogue import case, job
from tests.datasets.test_imagefolder import bomb
from tests.dumps.making_experiments import COMPUTE, VIT, make_network, make_reference
from tests.making_jobs import LOG

SETTINGS = {"kind": "imagefolder", "folder": "mine", "size_px": 16, "test_share": 0.4}
MEND = ("Fix or remove", "run snakemake again")


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


def offences(*lines):
    """Of each offence its file or class and what is wrong, and its own cure where it has one."""
    head = ("{here}/sources/mine", f"{len(lines)} problem")
    return case("images", DataError, head, MEND, lines=lines)


@offences(
    (("cat/cut.jpg", "truncated or damaged", "13 bytes"), ()),
    (("cat/zero.png", "empty file"), ()),
)
def photographs_cut_off_and_empty(here):
    root = folder(here, "cat", "dog")
    (root / "cat" / "cut.jpg").write_bytes(photograph("JPEG")[:-200])
    (root / "cat" / "zero.png").write_bytes(b"")
    return prepared(here)


@offences((("cat/text.jpg", "known format", "damaged at its start"), ()))
def text_with_an_image_s_name(here):
    (folder(here, "cat", "dog") / "cat" / "text.jpg").write_text("no image")
    return prepared(here)


@offences(
    (("cat/film.mp4", "not an image"), ("JPEG, PNG, BMP, GIF", "TIFF, WebP, PPM, AVIF")),
    (("loose.png", "outside of any class"), ()),
)
def files_that_do_not_belong(here):
    root = folder(here, "cat", "dog")
    (root / "cat" / "film.mp4").write_bytes(b"x")
    (root / "loose.png").write_bytes(photograph())
    return prepared(here)


@offences(
    (
        ("cat/bomb.png", "60000 x 60000 px", "more than 179 megapixels"),
        ("dataset.max_megapixels to 3600", "make it smaller"),
    )
)
def decompression_bomb(here):
    (folder(here, "cat", "dog") / "cat" / "bomb.png").write_bytes(bomb())
    return prepared(here)


@offences((("eel", "empty class"), ()))
def class_without_images(here):
    (folder(here, "cat", "dog") / "eel").mkdir()
    return prepared(here)


@offences((("two names for one class", "'Dog'", "'dog'"), ()))
def two_names_for_one_class(here):
    folder(here, "cat", "dog", "Dog")
    return prepared(here)


@offences(
    (("cat/all", "link", "cycle"), ()),
    (("dog/gone.png", "link", "{here}/nothing"), ("put it there", "remove the link")),
    (("dog/passwd.png", "known format", "damaged at its start"), ()),
)
def links_to_nothing_to_a_stranger_s_text_and_in_a_circle(here):
    root = folder(here, "cat", "dog")
    (root / "cat" / "all").symlink_to("..")
    (root / "dog" / "passwd.png").symlink_to("/etc/passwd")
    (root / "dog" / "gone.png").symlink_to(here / "nothing")
    return prepared(here)


@offences((("cat/a\nb.png", "control characters"), ()))
def name_with_a_line_break(here):
    (folder(here, "cat", "dog") / "cat" / "a\nb.png").write_bytes(photograph())
    return prepared(here)


@offences((("train", "lacks", "'eel'"), ()))
def val_with_a_class_that_train_lacks(here):
    folder(here, "train/cat", "train/dog", "val/cat", "val/dog", "val/eel")
    return prepared(here)


@offences(
    (("val/cat/9.png", "same photograph", "train/cat/0.png", "train and in val"), "keep one"),
    (
        (
            "val/dog/9.png",
            "same photograph",
            "train/cat/1.png",
            "'cat' and 'dog'",
            "train and in val",
        ),
        "keep one",
    ),
)
def photographs_to_train_on_and_to_test_on(here):
    root = folder(here, "train/cat", "train/dog", "val/cat", "val/dog")
    (root / "val" / "cat" / "9.png").symlink_to(root / "train" / "cat" / "0.png")
    copied(root / "train" / "cat" / "1.png", root / "val" / "dog" / "9.png")
    return prepared(here)


@offences(
    (("dog", "3 copies"), "add one that differs"),
    (("eel/0.png", "same photograph", "cat/0.png", "'cat' and 'eel'"), "keep one"),
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
    "{here}/sources/mine",
    ("set dataset.folder", "data_root", "SIGHTLINES_DATA", "one folder of images per class"),
)
def no_folder_of_images(here):
    config = {"dataset": SETTINGS, "source": ""}
    files = [here / "data" / name for name in imagefolder.FILES]
    return job(prepare.main, config, {}, {"files": files}, here / "sources")


@case(
    "images",
    DataError,
    ("{here}/sources", "changed since snakemake started"),
    "run snakemake again",
)
def photograph_edited_after_the_start(here):
    root = folder(here, "cat", "dog")
    command = prepared(here)
    (root / "cat" / "0.png").write_bytes(photograph() + b"edited")
    return command


@case(
    "images",
    DataError,
    ("{here}/sources/mine/dog/0.png", "edited since the dataset was prepared"),
    "run snakemake again",
)
def photograph_edited_before_it_is_decoded(here):
    root, source = folder(here, "cat", "dog"), here / "sources"
    imagefolder.prepare(SETTINGS, source, here / "data", LOG)
    dataset = here / "data" / "dataset.json"
    make_network(here, VIT, dataset)
    inputs = {"dataset": dataset, "splits": make_reference(dataset, here / "reference", [4])}
    inputs |= {name.split(".")[0]: here / name for name in ("weights.safetensors", "card.json")}
    config = {"network": ["vit", "f000", "s0"], "compute": COMPUTE}
    for path in root.glob("dog/*.png"):
        path.write_bytes(path.read_bytes() + b"edited")
    outputs = {"dump": here / "dump.safetensors"}
    return job(dump.main, config, inputs, outputs, source, member="gram")
