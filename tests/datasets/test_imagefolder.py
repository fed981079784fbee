"""Image folders: every form of photograph is read, every offence is listed, every edit noticed."""

import io
import os
import struct
import time
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sightlines.core import file_hashes, seeds
from sightlines.core.devices import Compute
from sightlines.core.errors import ConfigError, DataError
from sightlines.core.files import read_json
from sightlines.datasets import imagefolder, imagefolder_manifest, photographs, prepare, reading
from sightlines.datasets.views import View
from tests.making_jobs import LOG, make_job

SETTINGS = {"kind": "imagefolder", "folder": "mine", "size_px": 24, "test_share": 0.3}


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def picture(seed: int, size=(41, 31)) -> Image.Image:
    rng = seeds.generator(seed, "picture")
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def make_folder(root, classes=("cat", "dog"), count=5, first=0):
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(count):
            picture(first + 100 * c + i).save(root / name / f"{i}.png")
    return root


def run_prepare(tmp_path, **changes):
    out = tmp_path / "out"
    imagefolder.prepare(SETTINGS | changes, tmp_path, out, LOG)
    return read_json(out / "dataset.json"), pd.read_parquet(out / "manifest.parquet")


def offences(tmp_path) -> str:
    with pytest.raises(DataError) as caught:
        run_prepare(tmp_path)
    assert not (tmp_path / "out").exists()
    return str(caught.value)


def test_folder_of_classes(tmp_path):
    make_folder(tmp_path / "mine")
    (tmp_path / "mine" / "cat" / ".hidden.txt").write_text("x")
    (tmp_path / "mine" / "cat" / "notes.txt").write_text("x")
    (tmp_path / "mine" / ".git").mkdir()
    facts, table = run_prepare(tmp_path)
    assert facts["classes"] == ["cat", "dog"] and facts["counts"] == {"train": 6, "test": 4}
    assert table["path"].tolist() == sorted(table["path"]) and len(table) == 10
    assert table.groupby("label")["split"].apply(lambda s: (s == "test").sum()).tolist() == [2, 2]
    row = table.iloc[0]
    assert (row["width_px"], row["height_px"], row["mode"], row["label"]) == (41, 31, "RGB", 0)
    first = tmp_path / "mine" / row["path"]
    assert row["bytes"] == first.stat().st_size and len(row["sha256"]) == 64


def test_train_and_val(tmp_path):
    make_folder(tmp_path / "mine" / "train")
    make_folder(tmp_path / "mine" / "val", count=3, first=1000)
    facts, table = run_prepare(tmp_path)
    assert facts["counts"] == {"train": 10, "test": 6}
    assert (table["path"].str.startswith("val/") == (table["split"] == "test")).all()


def test_adding_an_image_keeps_the_others_in_place(tmp_path):
    make_folder(tmp_path / "mine", count=17)
    before = run_prepare(tmp_path)[1].set_index("path")["split"]
    picture(999).save(tmp_path / "mine" / "cat" / "new.png")
    after = run_prepare(tmp_path)[1].set_index("path")["split"]
    assert (before != after[before.index]).sum() <= 1


def split_by_path(tmp_path):
    return run_prepare(tmp_path)[1].set_index("path")["split"]


def test_copies_are_on_one_side_and_names_do_not_matter(tmp_path):
    root = make_folder(tmp_path / "mine", count=10)
    before = split_by_path(tmp_path)
    assert before.value_counts().to_dict() == {"train": 14, "test": 6}
    for path in sorted((root / "cat").iterdir()):
        (root / "cat" / f"copy of {path.name}").write_bytes(path.read_bytes())
    (root / "dog" / "0.png").rename(root / "dog" / "renamed.png")
    after = split_by_path(tmp_path)
    for path, split in after.items():
        original = path.replace("copy of ", "").replace("renamed", "0")
        assert split == before[original], path
    assert (after == "test").sum() == 9


def test_copies_in_one_class_and_split_are_no_offence(tmp_path):
    root = make_folder(tmp_path / "mine" / "train")
    make_folder(tmp_path / "mine" / "val", first=1000)
    (root / "cat" / "9.png").write_bytes((root / "cat" / "0.png").read_bytes())
    assert run_prepare(tmp_path)[0]["counts"] == {"train": 11, "test": 10}


def test_repeats_are_told_before_any_job_and_only_hashes_are_read(tmp_path, monkeypatch):
    root = make_folder(tmp_path / "mine")
    read = []
    real = photographs.measure
    monkeypatch.setattr(imagefolder_manifest, "measure", lambda *x: read.append(1) or real(*x))
    imagefolder.fingerprint(SETTINGS, tmp_path)
    assert not read
    (root / "dog" / "0.png").unlink()
    (root / "dog" / "0.png").symlink_to(root / "cat" / "0.png")
    same = r"dog/0\.png: the same photograph as cat/0\.png, under the classes 'cat' and 'dog'"
    with pytest.raises(DataError, match=same):
        imagefolder.fingerprint(SETTINGS, tmp_path)


def exif_turned() -> bytes:
    image, buffer = picture(1), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(buffer, "JPEG", exif=exif, quality=95)
    return buffer.getvalue()


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_every_mode_becomes_rgb():
    grey = Image.fromarray(np.full((9, 7), 100, np.uint8))
    wide = Image.fromarray(np.full((9, 7), 100 * 257, np.uint16))
    half = Image.merge("LA", [grey, Image.new("L", grey.size, 0)])
    clear = Image.new("RGBA", (7, 9), (10, 20, 30, 0))
    cases = {
        "grey": (saved(grey), (100, 100, 100)),
        "16 bit": (saved(wide), (100, 100, 100)),
        "16 bit tiff": (saved(wide, "TIFF"), (100, 100, 100)),
        "16 bit pgm": (saved(wide, "PPM"), (100, 100, 100)),
        "grey alpha": (saved(half), (255, 255, 255)),
        "alpha": (saved(clear), (255, 255, 255)),
        "palette": (saved(Image.new("RGB", (7, 9), (1, 2, 3)).quantize(4)), (1, 2, 3)),
        "palette with alpha": (saved(clear.quantize(4), transparency=0), (255, 255, 255)),
        "keyed": (saved(Image.new("RGB", (7, 9), (1, 2, 3)), transparency=(1, 2, 3)), (255,) * 3),
        "one bit": (saved(grey.convert("1", dither=0)), (0, 0, 0)),
        "gif": (saved(Image.new("RGB", (7, 9), (1, 2, 3)), "GIF"), (1, 2, 3)),
        "cmyk": (saved(Image.new("CMYK", (7, 9), (255, 0, 0, 0)), "TIFF"), (0, 255, 255)),
        "cmyk jpeg": (saved(Image.new("CMYK", (16, 16), (0, 0, 0, 255)), "JPEG"), (0, 0, 0)),
        "bmp": (saved(Image.new("RGB", (7, 9), (1, 2, 3)), "BMP"), (1, 2, 3)),
        "webp": (saved(Image.new("RGB", (7, 9), (9, 9, 9)), "WEBP", lossless=True), (9, 9, 9)),
    }
    for name, (content, colour) in cases.items():
        with photographs.quiet_pillow():
            square = photographs.decode(content, View(5))
            photographs.measure(content)
        assert square.shape == (5, 5, 3) and square.dtype == np.uint8
        assert np.abs(square.astype(int) - colour).max() <= 1, name


def test_exif_rotation_is_applied():
    assert photographs.measure(exif_turned()) == photographs.Measured(31, 41, "RGB")
    upright = photographs.decode(exif_turned(), View(31)).astype(int)
    lying = Image.open(io.BytesIO(exif_turned())).convert("RGB")
    expected = np.asarray(lying.transpose(Image.Transpose.ROTATE_270))[5:36]
    np.testing.assert_array_equal(upright, expected)


def test_decoding_scales_the_short_side_and_crops_the_centre():
    ramp = np.tile(np.arange(90, dtype=np.uint8), (30, 1))
    square = photographs.decode(saved(Image.fromarray(ramp)), View(15))
    # A step of the ramp is one grey level, which the filter and the coding round once each.
    assert np.abs(square[7, :, 0] - np.arange(30.5, 60, 2)).max() <= 1.5
    assert photographs.decode(saved(Image.new("RGB", (20000, 1))), View(15)).shape == (15, 15, 3)


def bomb() -> bytes:
    """A PNG that claims 60,000 x 60,000 px."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_all_offences_are_listed_at_once(tmp_path):
    root = make_folder(tmp_path / "mine", ("cat", "dog", "Dog", "caf\u00e9", "cafe\u0301"))
    whole = (root / "cat" / "0.png").read_bytes()
    (root / "cat" / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (root / "cat" / "cut.jpg").write_bytes(exif_turned()[:-200])
    (root / "cat" / "zero.png").write_bytes(b"")
    (root / "cat" / "text.jpg").write_bytes(b"this is no image")
    (root / "cat" / "bomb.png").write_bytes(bomb())
    (root / "cat" / "phone.heic").write_bytes(b"x")
    (root / "cat" / "deep").mkdir()
    Image.fromarray(np.zeros((3, 3), np.float32)).save(root / "cat" / "float.tiff")
    (root / "empty").mkdir()
    (root / "loose.png").write_bytes(whole)
    (root / "dog" / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "else").mkdir()
    (root / "linked").symlink_to(tmp_path / "else")
    os.mkfifo(root / "dog" / "pipe.png")
    message = offences(tmp_path)
    for expected in (
        "cat/truncated.png: truncated or damaged",
        "cat/cut.jpg: truncated or damaged",
        "cat/zero.png: empty file",
        "cat/text.jpg: not an image of a known format, or damaged at its start",
        "cat/bomb.png: ",
        "cat/phone.heic: not an image that sightlines reads",
        "cat/deep: a folder inside a class",
        "cat/float.tiff: float or 32-bit",
        "empty: an empty class",
        "loose.png: a file outside of any class",
        "dog/gone.png: a link that leads nowhere",
        "linked: an empty class",
        "dog/pipe.png: not a regular file",
        "two names for one class: 'Dog', 'dog'",
        "two names for one class: 'cafe\u0301', 'caf\u00e9'",
    ):
        assert expected in message, expected
    assert "megapixels" in message and "mine has 15 problems" in message


def test_long_listings_are_cut_and_counted(tmp_path):
    root = make_folder(tmp_path / "mine")
    for i in range(73):
        (root / "cat" / f"bad{i}.png").write_bytes(b"")
    message = offences(tmp_path)
    assert "has 73 problems" in message and message.count("empty file") == 50
    assert "… and 23 more" in message


def test_splits_must_have_the_same_classes(tmp_path):
    make_folder(tmp_path / "mine" / "train", ("cat", "dog", "eel"))
    make_folder(tmp_path / "mine" / "val", ("cat", "dog", "fox"), first=1000)
    message = offences(tmp_path)
    assert "val: lacks the class 'eel'" in message and "train: lacks the class 'fox'" in message


def test_too_few_classes_images_or_splits(tmp_path):
    make_folder(tmp_path / "mine", ("cat",))
    assert "1 classes: at least two" in offences(tmp_path)
    make_folder(tmp_path / "mine" / "val", ("a", "b"), count=1)
    assert "val: without its counterpart" in offences(tmp_path)
    make_folder(tmp_path / "other", ("a", "b"), count=1)
    with pytest.raises(DataError, match="a: one image, but one is needed to train"):
        run_prepare(tmp_path, folder="other")


@pytest.mark.parametrize("folder", ["/etc", "../up", "a/../../b", "a\0b"])
def test_folder_stays_below_the_source(tmp_path, folder):
    with pytest.raises(ConfigError, match="must be a path below data_root"):
        imagefolder.check(SETTINGS | {"folder": folder})


def test_missing_folder_is_named(tmp_path):
    for call in (imagefolder.fingerprint, lambda s, p: imagefolder.prepare(s, p, p / "o", LOG)):
        with pytest.raises(DataError, match=r"there is no image folder .*mine"):
            call(SETTINGS, tmp_path)


def test_fingerprint_notices_an_edit_and_reads_only_what_changed(tmp_path, monkeypatch):
    root = make_folder(tmp_path / "mine")
    old = time.time() - 100
    for path in root.rglob("*.png"):
        os.utime(path, (old, old))
    monkeypatch.setattr(file_hashes, "SETTLED_NS", -(10**18))
    before = imagefolder.fingerprint(SETTINGS, tmp_path)
    read = []
    real = file_hashes.sha256
    monkeypatch.setattr(file_hashes, "sha256", lambda path: read.append(path.name) or real(path))
    assert imagefolder.fingerprint(SETTINGS, tmp_path) == before and read == []
    path = root / "dog" / "3.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    os.utime(path, (old, old))  # same size, same modification time: the change time tells
    assert imagefolder.fingerprint(SETTINGS, tmp_path) != before
    assert read == ["3.png"]
    (root / "dog" / "3.png").rename(root / "dog" / "4b.png")
    assert imagefolder.fingerprint(SETTINGS, tmp_path) != before


def test_files_touched_a_moment_ago_are_not_remembered(tmp_path):
    make_folder(tmp_path / "mine", count=2)
    imagefolder.fingerprint(SETTINGS, tmp_path)
    memories = list((tmp_path / file_hashes.CACHE).glob("*.json"))
    assert all(read_json(memory) == {} for memory in memories)


def open_set(tmp_path, workers):
    compute = Compute(torch.device("cpu"), torch.float32, 1, workers)
    return reading.open_dataset(tmp_path / "out" / "dataset.json", tmp_path, compute)


BATCHES = [np.array([3, 1, 0]), np.array([2, 2]), np.array([5, 4, 3, 2, 1, 0, 0])]


def test_workers_keep_the_order_and_give_the_same_bytes(tmp_path):
    root = make_folder(tmp_path / "mine")
    _, table = run_prepare(tmp_path)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    alone, helped = (list(open_set(tmp_path, w).batches("train", BATCHES)) for w in (0, 2))
    assert torch.equal(state, torch.get_rng_state())
    paths = table[table["split"] == "train"]["path"].tolist()
    for indices, one, two in zip(BATCHES, alone, helped, strict=True):
        assert one.dtype == torch.uint8 and one.shape == (len(indices), 3, 24, 24)
        assert torch.equal(one, two)
        for index, image in zip(indices, one, strict=True):
            expected = photographs.decode((root / paths[index]).read_bytes(), View(24))
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), expected)
    labels = open_set(tmp_path, 0).labels("train")
    np.testing.assert_array_equal(labels, table[table["split"] == "train"]["label"])
    larger = next(open_set(tmp_path, 0).batches("train", BATCHES, margin_px=5))
    assert larger.shape == (3, 3, 29, 29)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_edited_or_missing_photograph_is_named(tmp_path, workers):
    root = make_folder(tmp_path / "mine")
    _, table = run_prepare(tmp_path)
    path = root / table[table["split"] == "train"]["path"].iloc[2]
    picture(77).save(path)
    edited = rf"^the photograph \S*{path.name} was edited .*run snakemake again$"
    with pytest.raises(DataError, match=edited):
        list(open_set(tmp_path, workers).batches("train", BATCHES))
    path.unlink()
    with pytest.raises(DataError, match=rf"^cannot read the photograph \S*{path.name}: No such"):
        list(open_set(tmp_path, workers).batches("train", BATCHES))


def test_endless_batches_can_be_left(tmp_path):
    make_folder(tmp_path / "mine")
    run_prepare(tmp_path)
    endless = iter(lambda: np.array([0]), None)
    batches = open_set(tmp_path, 2).batches("train", endless)
    first, second = next(batches), next(batches)
    batches.close()
    assert torch.equal(first, second)


def test_command_refuses_a_folder_that_changed_since_the_start(tmp_path):
    make_folder(tmp_path / "mine")
    outputs = {"files": [tmp_path / "out" / name for name in imagefolder.FILES]}
    config = {"dataset": SETTINGS, "source": imagefolder.fingerprint(SETTINGS, tmp_path)}
    job = make_job(config, {}, outputs, tmp_path)
    prepare.main(job)
    assert job.notes == {"counts": {"train": 6, "test": 4}, "classes": 2}
    picture(5).save(tmp_path / "mine" / "cat" / "0.png")
    with pytest.raises(DataError, match="changed since snakemake started"):
        prepare.main(job)


def test_variant_names_the_folder():
    name = imagefolder.variant(SETTINGS | {"folder": "a/My Photos"})
    assert name.startswith("imagefolder-my-photos-") and len(name.rpartition("-")[2]) == 8
    assert name != imagefolder.variant(SETTINGS | {"folder": "b/My Photos"})
