"""Files that are no photographs are named by what is in them, whatever they are called."""

import logging
import struct

import numpy as np
import pytest
from PIL import Image, features

from sightlines.core.errors import DataError
from sightlines.datasets import content_kinds, imagefolder, photographs
from sightlines.datasets.views import View
from tests.datasets.making_photographs import exif, jpeg, saved, tiff16


def container(brand: bytes, *others: bytes) -> bytes:
    box = brand + bytes(4) + b"".join(others)
    return struct.pack(">I", len(box) + 8) + b"ftyp" + box + bytes(40)


def ramp() -> Image.Image:
    return Image.fromarray(np.tile(np.arange(0, 240, 10, dtype=np.uint8), (20, 1)))


def twelve_bits() -> bytes:
    content = bytearray(jpeg(ramp()))
    place = content.index(b"\xff\xc0") + 4
    assert content[place] == 8
    content[place] = 12
    return bytes(content)


KINDS = {
    "heic": (container(b"heic", b"mif1", b"heic"), "HEIC", "convert"),
    "heif by a compatible brand": (container(b"mif1", b"mif1", b"miaf"), "HEIC", "convert"),
    "jxl in a container": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL", "convert"),
    "jxl": (b"\xff\x0a" + bytes(40), "JPEG XL", "convert"),
    "jpeg 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000", "convert"),
    "jpeg of 12 bits": (twelve_bits(), "12 bits", "convert"),
    "film": (container(b"isom", b"iso2", b"mp41"), "film", "remove"),
    "film of a telephone": (container(b"qt  ", b"qt  "), "film", "remove"),
    "film of the web": (b"\x1aE\xdf\xa3" + bytes(40), "film", "remove"),
    "raw in a container": (container(b"crx ", b"crx ", b"isom"), "CR3", "convert"),
    "raw": (b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "CR2", "export"),
    "raw of Fuji": (b"FUJIFILMCCD-RAW " + bytes(40), "raw", "export"),
    "page": (b"\n<!DOCTYPE html><html><body>404</body></html>", "web page", "download"),
    "drawing": (b'<?xml version="1.0"?>\n<svg xmlns="a"/>', "SVG", "convert"),
    "answer of a server": (b'{"error": "not found"}', "JSON", "download"),
    "pointer of LFS": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
    "pointer of annex": (b"/annex/objects/SHA256E-s9--0.jpg\n", "git-annex", "git annex get"),
    "pdf": (b"%PDF-1.7\n", "PDF", "export"),
    "photoshop": (b"8BPS\0\1" + bytes(40), "Photoshop", "export"),
    "dicom": (bytes(128) + b"DICM" + bytes(40), "DICOM", "export"),
    "archive": (b"PK\3\4" + bytes(40), "archive", "unpack"),
    "zeros": (bytes(4096), "zeros", "get it again"),
    "tiff of another layout": (tiff16(np.ones((4, 4, 5), np.uint16), 2), "TIFF", "interleaved"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_it_is_and_what_helps(name):
    content, kind, cure = KINDS[name]
    with pytest.raises(photographs.UnreadableError) as caught:
        photographs.measure(content)
    assert kind in str(caught.value) and cure in str(caught.value)


def test_a_thumbnail_of_a_raw_file_is_no_photograph():
    grey = np.ones((4, 4), np.uint16)
    thumbnail = tiff16(grey, 1, t254=(4, [1]), t330=(4, [8]))
    with pytest.raises(photographs.UnreadableError, match=r"raw file .* export"):
        photographs.measure(thumbnail)
    assert photographs.measure(tiff16(grey, 1, t254=(4, [0]), t330=(4, [8]))).width_px == 4


def test_unknown_bytes_have_no_name():
    assert content_kinds.name_kind(b"this is no image") == ""
    with pytest.raises(photographs.UnreadableError, match="not an image of a known format"):
        photographs.measure(b"this is no image")


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")


@needs_avif
def test_avif_is_read_whatever_its_name(tmp_path):
    flat = Image.new("RGB", (40, 30), (200, 100, 50))
    content = saved(flat, "AVIF", quality=100, subsampling="4:4:4", exif=exif(6))
    assert photographs.measure(content) == photographs.Measured(30, 40, "RGB")
    seen = photographs.decode(content, View(8)).astype(int)
    assert np.abs(seen - (200, 100, 50)).max() <= 2
    np.testing.assert_array_equal(seen, photographs.decode(content, View(8)))
    for c, name in enumerate(("cat", "dog")):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i, ending in enumerate(("avif", "AVIF", "jpg", "png")):
            grey = saved(Image.new("RGB", (9, 9), (40 * i, 90 * c, 7)), "AVIF")
            (tmp_path / "mine" / name / f"{i}.{ending}").write_bytes(grey)
    settings = {"kind": "imagefolder", "folder": "mine", "size_px": 24, "test_share": 0.3}
    imagefolder.prepare(settings, tmp_path, tmp_path / "out", logging.getLogger("test"))


@needs_avif
def test_a_damaged_avif_is_told_as_such():
    content = saved(ramp().convert("RGB"), "AVIF")
    with pytest.raises(photographs.UnreadableError, match="damaged"):
        photographs.measure(content[:60])


def test_avif_without_its_decoder_has_a_cure(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    assert "install" in content_kinds.name_kind(container(b"avif", b"mif1", b"miaf"))


# -- large photographs ---------------------------------------------------------------------


def test_as_many_megapixels_as_set():
    content = saved(Image.new("L", (2000, 1500)))
    assert photographs.measure(content, 3).width_px == 2000
    with pytest.raises(photographs.UnreadableError) as caught:
        photographs.measure(content, 2)
    assert "dataset.max_megapixels to 3" in str(caught.value)


def test_the_bound_is_no_lower_than_pillows_and_may_be_higher():
    assert photographs.MAX_MEGAPIXELS * 1e6 >= 2 * Image.MAX_IMAGE_PIXELS
    bound = Image.MAX_IMAGE_PIXELS
    wide = saved(Image.new("1", (40_000, 4600)))
    with pytest.raises(Image.DecompressionBombError), Image.open(photographs.io.BytesIO(wide)):
        pass
    with pytest.raises(photographs.UnreadableError, match=r"max_megapixels to 184"):
        photographs.measure(wide)
    assert photographs.measure(wide, 184).width_px == 40_000
    assert bound == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_large_jpegs_are_measured_small_and_still_whole(mode, monkeypatch):
    block = b"Exif\0\0" + exif(6)
    content = saved(Image.effect_noise((500, 400), 90).convert(mode), "JPEG", exif=block)
    drafted, real = [], Image.Image.load
    monkeypatch.setattr(photographs, "LARGE_PIXELS", 100_000)
    monkeypatch.setattr(Image.Image, "load", lambda im: drafted.append(im.size) or real(im))
    assert photographs.measure(content) == photographs.Measured(400, 500, mode)
    assert (63, 50) in drafted and (500, 400) not in drafted
    with pytest.raises(photographs.UnreadableError, match="truncated"):
        photographs.measure(content[:-400])


def test_settings_reach_the_examination(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i in range(3):
            grey = Image.new("L", (30, 30), 9 * i + (name == "dog"))
            grey.save(tmp_path / "mine" / name / f"{i}.png")
    Image.new("L", (1200, 1000)).save(tmp_path / "mine" / "cat" / "large.png")
    settings = {"kind": "imagefolder", "folder": "mine", "size_px": 24, "test_share": 0.3}
    log = logging.getLogger("test")
    with pytest.raises(DataError, match=r"cat/large\.png: 1200 x 1000 px.*max_megapixels to 2"):
        imagefolder.prepare(settings | {"max_megapixels": 1}, tmp_path, tmp_path / "out", log)
    imagefolder.prepare(settings, tmp_path, tmp_path / "out", log)
