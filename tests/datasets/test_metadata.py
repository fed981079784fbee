"""Odd metadata: the pixels are those of the clean file, turned as the orientation says."""

import io
import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sightlines.datasets import imagefolder, metadata, photographs
from sightlines.datasets.views import View
from tests.datasets.making_photographs import (
    chunk,
    exif,
    jpeg,
    saved,
    tiff16,
    with_chunks,
)

WIDTH, HEIGHT = 22, 14
VIEW = View(11, "nearest", 1.0, "squash")
TURNED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}
"""What is seen of a stored picture, by EXIF's orientation."""

MINUS_ONE_ZEROTH = struct.pack("<ii", -1, 0)
NAN = struct.pack("<d", float("nan"))
ODD_TAGS = {
    "negative rational": {0x011A: (10, MINUS_ONE_ZEROTH)},
    "nought over nought": {0x829A: (5, bytes(8))},
    "negative long": {0x0100: (9, [-1])},
    "negative short": {0x0213: (8, [-1, 0])},
    "not a number": {0x011A: (12, NAN)},
    "numbers as text": {0x9286: (2, b"\xff\xfe\x00\xd8\x00\x00")},
    "directory beyond the end": {0x8769: (4, [0xFFFFFF])},
    "unknown type": {0x010E: (99, b"\1\2\3\4")},
}


def ramp() -> Image.Image:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return Image.fromarray(np.stack([x * 11, y * 17, x * 0 + 90], 2).astype(np.uint8))


def pixels(content: bytes) -> np.ndarray:
    with photographs.quiet_pillow():
        measured = photographs.measure(content)
        side = min(measured.width_px, measured.height_px)
        assert max(measured.width_px, measured.height_px) == WIDTH and side == HEIGHT
        return photographs.decode(content, VIEW)


def seen(content: bytes, orientation: int) -> np.ndarray:
    """What is to be seen of a clean file's stored picture."""
    with Image.open(io.BytesIO(content)) as image:
        whole = Image.fromarray(
            np.ascontiguousarray(TURNED[orientation](np.asarray(image.convert("RGB"))))
        )
    return np.asarray(whole.resize((11, 11), Image.Resampling.NEAREST))


def in_jpeg(block: bytes) -> bytes:
    return jpeg(ramp(), (0xE1, b"Exif\0\0" + block))


def in_png(block: bytes) -> bytes:
    return with_chunks(saved(ramp()), chunk(b"eXIf", block))


def in_webp(block: bytes) -> bytes:
    return saved(ramp(), "WEBP", lossless=True, exif=block)


FORMATS = {
    "jpeg": (in_jpeg, lambda: jpeg(ramp())),
    "png": (in_png, lambda: saved(ramp())),
    "webp": (in_webp, lambda: saved(ramp(), "WEBP", lossless=True)),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", FORMATS)
def test_each_orientation_turns_the_picture(form, orientation):
    make, clean = FORMATS[form]
    np.testing.assert_array_equal(pixels(make(exif(orientation))), seen(clean(), orientation))


@pytest.mark.parametrize("odd", ODD_TAGS)
@pytest.mark.parametrize("form", FORMATS)
def test_odd_tags_leave_the_pixels_and_the_orientation(form, odd):
    make, clean = FORMATS[form]
    for orientation in (1, 6):
        content = make(exif(orientation, ODD_TAGS[odd]))
        np.testing.assert_array_equal(pixels(content), seen(clean(), orientation))


def test_a_tag_beyond_the_end_hides_no_orientation_behind_it():
    block = exif(6, {0x010F: (2, b"a maker's name")})
    (place,) = struct.unpack("<I", block[10 + 8 : 10 + 12])
    assert block[place:].startswith(b"a maker")
    block = block[: 10 + 8] + struct.pack("<I", 0xFFFFFF) + block[10 + 12 :]
    for make, clean in FORMATS.values():
        np.testing.assert_array_equal(pixels(make(block)), seen(clean(), 6))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_there_is_not_turns_nothing_and_is_told(orientation):
    content = in_jpeg(exif(orientation))
    np.testing.assert_array_equal(pixels(content), seen(jpeg(ramp()), 1))
    assert photographs.measure(content).passed_over == metadata.NO_ORIENTATION


def test_what_is_passed_over():
    said = {
        "clean": (in_jpeg(exif(6)), ""),
        "negative rational": (in_jpeg(exif(6, ODD_TAGS["negative rational"])), "damaged EXIF"),
        "not a number": (in_png(exif(1, ODD_TAGS["not a number"])), "damaged EXIF"),
        "cut off": (in_jpeg(exif(6)[:14]), "damaged EXIF"),
        "bare": (saved(ramp()), ""),
    }
    for name, (content, expected) in said.items():
        with photographs.quiet_pillow():
            assert photographs.measure(content).passed_over == expected, name


XMP = b'<x tiff:Orientation="6"/>'
HISTORY = XMP + b"<h/>" * 500_000
LARGE = {
    "profile": (chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(3 << 20))), 1),
    "text": (chunk(b"zTXt", b"history\0\0" + zlib.compress(bytes(3 << 20))), 1),
    "history": (
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(HISTORY)),
        6,
    ),
    "exif as text": (
        chunk(
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n  99\n" + exif(8).hex().encode() + b"\n" * (2 << 20)),
        ),
        8,
    ),
    "wrong sum": (chunk(b"tEXt", b"a\0b")[:-1] + b"\0", 1),
    "unknown compression": (chunk(b"zTXt", b"a\0\7b"), 1),
}


@pytest.mark.parametrize("name", LARGE)
def test_profiles_and_texts_of_png_are_no_damage(name):
    extra, orientation = LARGE[name]
    content = with_chunks(saved(ramp()), extra)
    np.testing.assert_array_equal(pixels(content), seen(saved(ramp()), orientation))
    assert photographs.measure(content).passed_over == metadata.DAMAGED_REST
    both = with_chunks(saved(ramp()), extra, chunk(b"eXIf", exif(3)))
    np.testing.assert_array_equal(pixels(both), seen(saved(ramp()), 3))


def test_small_texts_are_read_as_ever():
    xmp = chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>')
    content = with_chunks(saved(ramp()), xmp, chunk(b"tEXt", b"a\0b"))
    np.testing.assert_array_equal(pixels(content), seen(saved(ramp()), 6))
    assert photographs.measure(content).passed_over == ""


def test_damaged_pixels_stay_damage_beside_odd_metadata():
    content = with_chunks(saved(ramp()), LARGE["profile"][0])
    with pytest.raises(photographs.UnreadableError, match="truncated or damaged"):
        photographs.measure(content[:-40])


@pytest.mark.parametrize("marker", range(0xE0, 0xF0))
def test_rubbish_in_segments_of_jpeg_is_no_damage(marker):
    for body in (
        b"",
        b"MPF\0",
        b"MPF\0II*\0\x08\0\0\0\xff\xff",
        b"ICC_PROFILE\0",
        b"Photoshop 3.0\0",
        b"JFIF",
        b"Adobe",
    ):
        for told in (b"Exif\0\0" + exif(6), b"http://ns.adobe.com/xap/1.0/\0" + XMP):
            content = jpeg(ramp(), (0xE1, told), (marker, body))
            np.testing.assert_array_equal(pixels(content), seen(jpeg(ramp()), 6))


def test_two_pictures_in_one_file_are_turned_alike():
    info = Image.Exif()
    info[0x0112] = 6
    info[0x011A] = -1.0
    stored = ramp()
    small = stored.resize((11, 7))
    options = {"save_all": True, "append_images": [small], "quality": 90}
    clean = saved(stored, "MPO", **options)
    made = jpeg(stored, (0xE1, b"Exif\0\0" + exif(6, ODD_TAGS["negative rational"])))
    added = len(made) - len(saved(stored, "JPEG", quality=90))
    both = clean[:2] + made[2 : 2 + added] + clean[2:]
    with Image.open(io.BytesIO(clean)) as image:
        assert image.format == "MPO"
    np.testing.assert_array_equal(pixels(both), seen(clean, 6))


def tiff(orientation: int, order: str = "<", **tags) -> bytes:
    levels = np.asarray(ramp()).astype(np.uint16) * 257
    return tiff16(levels, 2, order, t274=(3, [orientation]), **tags)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_odd_tags_of_tiff(order, orientation):
    clean = seen(saved(ramp()), orientation)
    rational = struct.pack(f"{order}ii", -1, 0)
    odd = {
        "rational": {"t282": (10, rational), "t283": (10, rational)},
        "text": {"t270": (2, b"\xff\xfe\0\xd8\0\0")},
        "directory": {"t34665": (4, [0xFFFFFF])},
        "unknown type": {"t270": (99, b"\1\2\3\4")},
        "private": {"t65000": (12, struct.pack(f"{order}d", float("nan")))},
    }
    for name, tags in odd.items():
        content = tiff(orientation, order, **tags)
        np.testing.assert_array_equal(pixels(content), clean, name)


@pytest.mark.parametrize("tag", [269, 270, 305, 34377])
def test_a_tag_of_tiff_beyond_the_end(tag):
    whole = tiff(6, **{f"t{tag}": (2, b"a long text")})
    place = whole.index(struct.pack("<HHI", tag, 2, 11)) + 8
    content = whole[:place] + struct.pack("<I", len(whole) + 999) + whole[place + 4 :]
    np.testing.assert_array_equal(pixels(content), seen(saved(ramp()), 6))


@pytest.mark.parametrize("odd", ["", "negative rational", "not a number"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_avif_is_turned_whatever_its_exif_says(orientation, odd):
    options = {"quality": 100, "subsampling": "4:4:4"}
    block = exif(orientation, {0x011A: (5, struct.pack("<II", 72, 1))})
    content = saved(ramp(), "AVIF", exif=block, **options)
    if odd:
        entry = struct.pack("<HHI", 0x011A, 5, 1)
        assert content.count(entry) == 1
        kind, value = ODD_TAGS[odd][0x011A]
        content = content.replace(entry, struct.pack("<HHI", 0x011A, kind, 1))
        content = content.replace(struct.pack("<II", 72, 1), value)
    clean = saved(ramp(), "AVIF", **options)
    np.testing.assert_array_equal(pixels(content), seen(clean, orientation))


def test_a_folder_says_once_what_was_passed_over(tmp_path, caplog):
    for name in ("cat", "dog"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(3):
            y = np.full((9, 9, 3), 20 * i + 3 * (name == "dog"), np.uint8)
            Image.fromarray(y).save(tmp_path / "mine" / name / f"{i}.png")
    odd = in_jpeg(exif(6, ODD_TAGS["negative rational"]))
    for i in range(4):
        (tmp_path / "mine" / "cat" / f"odd{i}.jpg").write_bytes(odd + bytes([i]))
    large = with_chunks(saved(ramp()), LARGE["profile"][0])
    (tmp_path / "mine" / "dog" / "large.png").write_bytes(large)
    settings = {"kind": "imagefolder", "folder": "mine", "size_px": 24, "test_share": 0.3}
    with caplog.at_level(logging.INFO):
        imagefolder.prepare(settings, tmp_path, tmp_path / "out", logging.getLogger("test"))
    (line,) = [r.getMessage() for r in caplog.records if "passed over" in r.getMessage()]
    assert "5 photographs" in line and f"{metadata.DAMAGED_EXIF} in 4" in line
    assert f"{metadata.DAMAGED_REST} in 1 (dog/large.png)" in line and "cat/odd0.jpg" in line


@pytest.mark.parametrize(
    "content", [b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xe1\0"]
)
def test_a_jpeg_that_ends_within_a_marker_is_unreadable(content):
    with pytest.raises(photographs.UnreadableError):
        photographs.measure(content)
