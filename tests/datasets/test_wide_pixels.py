"""More than 8 bits: a full ramp keeps all its grey levels, in every layout and at every depth."""

import io
import logging
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from sightlines.core.devices import Compute
from sightlines.core.errors import DataError
from sightlines.core.files import read_json
from sightlines.datasets import imagefolder, photographs, reading, wide_pixels
from sightlines.datasets.views import View
from sightlines.datasets.white_levels import describe_white, white_levels
from tests.datasets.making_photographs import chunk, png16, tiff16

WIDTH = 64
VIEW = View(WIDTH, "nearest", 1.0, "squash")
SETTINGS = {"kind": "imagefolder", "folder": "mine", "size_px": 24, "test_share": 0.3}


def ramp(white: int) -> np.ndarray:
    """Levels from 0 to `white`, the same in every row."""
    return np.tile((np.linspace(0, 1, WIDTH) * white).astype(np.uint16), (5, 1))


def colours(white: int) -> np.ndarray:
    grey = ramp(white)
    return np.stack([grey, grey[:, ::-1], grey // 2], 2)


def with_alpha(levels: np.ndarray, alpha: int) -> np.ndarray:
    levels = levels[..., None] if levels.ndim == 2 else levels
    return np.concatenate([levels, np.full_like(levels[..., :1], alpha)], 2)


GREY = {
    "png": lambda w: png16(ramp(w), 0),
    "png alpha": lambda w: png16(with_alpha(ramp(w), w), 4),
    "png alpha of 16 bits": lambda w: png16(with_alpha(ramp(w), 65535), 4),
    "tiff": lambda w: tiff16(ramp(w), 1),
    "tiff big-endian": lambda w: tiff16(ramp(w), 1, ">"),
    "tiff deflated": lambda w: tiff16(ramp(w), 1, deflated=True),
    "tiff big-endian deflated": lambda w: tiff16(ramp(w), 1, ">", deflated=True),
    "pgm": lambda w: b"P5 64 5 65535\n" + ramp(w).astype(">u2").tobytes(),
    "pgm in digits": lambda w: b"P2 64 5 65535\n" + " ".join(map(str, ramp(w).flat)).encode(),
}
COLOUR = {
    "png": lambda w: png16(colours(w), 2),
    "png alpha": lambda w: png16(with_alpha(colours(w), w), 6),
    "png alpha of 16 bits": lambda w: png16(with_alpha(colours(w), 65535), 6),
    "tiff": lambda w: tiff16(colours(w), 2),
    "tiff big-endian": lambda w: tiff16(colours(w), 2, ">"),
    "tiff deflated": lambda w: tiff16(colours(w), 2, deflated=True),
    "tiff big-endian deflated": lambda w: tiff16(colours(w), 2, ">", deflated=True),
    "tiff alpha": lambda w: tiff16(with_alpha(colours(w), w), 2, t338=(3, [2])),
    "tiff multiplied alpha": lambda w: tiff16(with_alpha(colours(w), w), 2, t338=(3, [1])),
    "tiff with a channel of no meaning": lambda w: tiff16(
        with_alpha(colours(w), 65535), 2, t338=(3, [0])
    ),
    "ppm": lambda w: b"P6 64 5 65535\n" + colours(w).astype(">u2").tobytes(),
    "ppm in digits": lambda w: b"P3 64 5 65535\n" + " ".join(map(str, colours(w).flat)).encode(),
}
BITS = {10: 1023, 12: 4095, 14: 16383, 8: 255}


def decoded(content: bytes, white: dict[int, int]) -> np.ndarray:
    with photographs.quiet_pillow():
        return photographs.decode(content, VIEW, white)[0].astype(int)


def scaled(levels: np.ndarray, white: int) -> np.ndarray:
    return (levels.astype(int) * 255 + white // 2) // white


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("form", GREY)
def test_a_grey_ramp_keeps_its_levels(form, bits):
    white = BITS[bits]
    content = GREY[form](white)
    depth = photographs.measure(content).depth
    assert depth == wide_pixels.Depth(16, white, is_clipped=True)
    facts, doubts = wide_pixels.decide_white({"a": depth}, "auto")
    assert doubts == [] and facts["16"]["white_level"] == white
    seen = decoded(content, {16: white})
    np.testing.assert_array_equal(seen, np.repeat(scaled(ramp(white)[0], white)[:, None], 3, 1))
    assert len(np.unique(seen)) == WIDTH


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("form", COLOUR)
def test_a_ramp_in_colour_keeps_its_levels(form, bits):
    white = BITS[bits]
    content = COLOUR[form](white)
    assert photographs.measure(content).depth == wide_pixels.Depth(16, white, is_clipped=True)
    seen = decoded(content, {16: white})
    np.testing.assert_array_equal(seen, scaled(colours(white)[0], white))


@pytest.mark.parametrize("form", [*GREY, *COLOUR])
def test_full_16_bits_are_what_pillow_makes_of_them(form):
    """Grey is rounded; of colours and of grey with alpha Pillow keeps the upper byte."""
    if form in GREY:
        expected = np.repeat(scaled(ramp(65535)[0], 65535)[:, None], 3, 1)
        expected = (
            expected if "alpha" not in form else np.repeat(ramp(65535)[0, :, None] >> 8, 3, 1)
        )
        np.testing.assert_array_equal(decoded(GREY[form](65535), {16: 65535}), expected)
        np.testing.assert_array_equal(decoded(GREY[form](65535), {}), expected)
    if form in COLOUR:
        content = COLOUR[form](65535)
        with Image.open(io.BytesIO(content)) as image:
            expected = np.asarray(image.convert("RGB"))[0]
        np.testing.assert_array_equal(decoded(content, {}), expected)


def test_ink_keeps_its_levels():
    ink = with_alpha(colours(1023), 0)
    seen = decoded(tiff16(ink, 5), {16: 1023})
    np.testing.assert_array_equal(seen, 255 - scaled(colours(1023)[0], 1023))


@pytest.mark.parametrize("white", [1023, 65535])
def test_where_white_is_zero(white):
    for deflated in (False, True):
        seen = decoded(tiff16(ramp(white), 0, deflated=deflated), {16: white})
        assert (seen[:, 0] == 255 - scaled(ramp(white)[0], white)).all()


@pytest.mark.parametrize("order", ["<", ">"])
def test_channels_that_lie_apart(order):
    full = decoded(tiff16(colours(65535), 2, order, apart=True), {16: 65535})
    np.testing.assert_array_equal(full, colours(65535)[0] >> 8)
    narrow = photographs.measure(tiff16(colours(4095), 2, order, apart=True)).depth
    assert narrow == wide_pixels.Depth(16, 4095, is_clipped=False, is_exact=False)
    _, (doubt,) = wide_pixels.decide_white({"cat/a.tif": narrow}, "auto")
    assert doubt.startswith("cat/a.tif: ") and "interleaved" in doubt
    with pytest.raises(photographs.UnreadableError, match="apart"):
        decoded(tiff16(colours(4095), 2, order, apart=True), {16: 4095})


@pytest.mark.parametrize("white", [1023, 65535])
def test_a_transparent_level_is_compared_at_full_depth(white):
    key = int(ramp(white)[0, 20])
    grey = decoded(png16(ramp(white), 0, chunk(b"tRNS", struct.pack(">H", key))), {16: white})
    assert (grey[20] == 255).all() and (grey[21] == scaled(ramp(white)[0, 21], white)).all()
    triple = colours(white)[0, 20].tolist()
    content = png16(colours(white), 2, chunk(b"tRNS", struct.pack(">3H", *triple)))
    seen = decoded(content, {16: white})
    assert (seen[20] == 255).all()
    levels = colours(white)[0]
    expected = levels >> 8 if white == 65535 else scaled(levels, white)
    np.testing.assert_array_equal(np.delete(seen, 20, 0), np.delete(expected, 20, 0))


@pytest.mark.parametrize("alpha", [512, 32768])
def test_alpha_has_its_own_scale(alpha):
    """Half of black on white, whether alpha ends at 1023 or at 65535."""
    for content in (
        png16(with_alpha(ramp(1023), alpha), 4),
        png16(with_alpha(colours(1023), alpha), 6),
        tiff16(with_alpha(colours(1023), alpha), 2, t338=(3, [2])),
    ):
        assert abs(decoded(content, {16: 1023})[0, 0] - 127) <= 1


def test_levels_above_white_are_white():
    assert decoded(GREY["tiff"](4095), {16: 1023})[-1].tolist() == [255, 255, 255]


# -- what files say of their depth ---------------------------------------------------------


def packed_12_bits() -> bytes:
    """A TIFF of 12 bits, two levels in three bytes."""
    a, b = ramp(4095)[:, 0::2].astype(int), ramp(4095)[:, 1::2].astype(int)
    strip = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).tobytes()
    whole = tiff16(ramp(4095), 1, t258=(3, [12]), t279=(4, [len(strip)]))
    return whole[:8] + strip + whole[8 + len(strip) :]


def ome(bits: int) -> bytes:
    return f'<OME><Image><Pixels Type="uint16" SignificantBits="{bits}"/></Image></OME>'.encode()


SAID = {
    "sBIT of grey": (12, png16(ramp(900), 0, chunk(b"sBIT", bytes([12])))),
    "sBIT of colours": (10, png16(colours(900), 2, chunk(b"sBIT", bytes([9, 10, 8])))),
    "sBIT of alpha": (11, png16(with_alpha(ramp(900), 65535), 4, chunk(b"sBIT", bytes([11, 16])))),
    "MaxSampleValue": (14, tiff16(ramp(900), 1, t281=(3, [16383]))),
    "MaxSampleValue of channels": (12, tiff16(colours(900), 2, t281=(3, [4095, 4095, 4095]))),
    "OME": (11, tiff16(ramp(900), 1, t270=(2, ome(11)))),
    "BitsPerSample": (12, packed_12_bits()),
}


@pytest.mark.parametrize("form", SAID)
def test_what_a_file_says_of_its_bits_decides(form):
    bits, content = SAID[form]
    depth = photographs.measure(content).depth
    largest = 4095 if form == "BitsPerSample" else 900
    assert (depth.bits, depth.largest) == (bits, largest)
    facts, doubts = wide_pixels.decide_white({"a": depth}, "auto")
    assert doubts == [] and facts[str(bits)]["white_level"] == 2**bits - 1
    seen = decoded(content, {bits: 2**bits - 1})
    assert seen[-1].max() == (largest * 255 + 2**bits // 2) // (2**bits - 1)


SILENT = {
    "largest of this picture": tiff16(ramp(900), 1, t281=(3, [900])),
    "sBIT of 16": png16(ramp(900), 0, chunk(b"sBIT", bytes([16]))),
    "OME of 16": tiff16(ramp(900), 1, t270=(2, ome(16))),
}


@pytest.mark.parametrize("form", SILENT)
def test_what_says_nothing_of_the_depth(form):
    assert photographs.measure(SILENT[form]).depth.bits == 16


def test_samples_that_were_moved_up_to_16_bits_as_png_wants():
    """PNG has 12 significant bits scaled up to the file's 16; what sBIT says is no white then."""
    moved = png16(ramp(4095) << 4, 0, chunk(b"sBIT", bytes([12])))
    depth = photographs.measure(moved).depth
    facts, doubts = wide_pixels.decide_white({"a": depth}, "auto")
    assert doubts == [] and facts["12"]["white_level"] == 65535


def test_a_pgm_that_says_its_largest_value_has_a_scale():
    content = b"P5 64 5 1023\n" + ramp(1023).astype(">u2").tobytes()
    assert photographs.measure(content).depth is None
    assert np.abs(decoded(content, {})[:, 0] - scaled(ramp(1023)[0], 1023)).max() <= 1


def test_signed_and_float_levels_are_refused():
    signed = tiff16(ramp(900).astype(np.int16), 1, t339=(3, [2]))
    with pytest.raises(photographs.UnreadableError, match=r"signed 16-bit .* 8 or 16 bits"):
        photographs.measure(signed)


# -- one white for a folder -----------------------------------------------------------------


def depth(largest: int, bits: int = 16, clipped: bool = False) -> wide_pixels.Depth:
    return wide_pixels.Depth(bits, largest, clipped)


@pytest.mark.parametrize(
    ("largest", "white"),
    [(0, 255), (255, 255), (256, 1023), (1023, 1023), (1024, 4095), (5000, 16383), (16384, 65535)],
)
def test_the_folders_largest_level_decides(largest, white):
    facts, doubts = wide_pixels.decide_white(
        {"a": depth(largest // 3), "b": depth(largest)}, "auto"
    )
    assert doubts == []
    assert facts["16"]["white_level"] == white and facts["16"]["photographs"] == 2


def test_scales_that_end_at_several_depths_are_in_doubt():
    found = {"a": depth(1023, clipped=True), "b": depth(4095, clipped=True), "c": depth(60000)}
    _, doubts = wide_pixels.decide_white(found, "auto")
    assert [line.split(":")[0] for line in doubts] == ["a", "b"]
    assert all("dataset.white_level" in line and "c goes to 60000" in line for line in doubts)
    facts, doubts = wide_pixels.decide_white(found, 4095)
    assert doubts == [] and facts["16"]["white_level"] == 4095 and facts["16"]["above"] == 1


def test_dark_photographs_are_counted_and_no_doubt():
    found = {"a": depth(1023), "b": depth(700, clipped=True), "c": depth(60000)}
    facts, doubts = wide_pixels.decide_white(found, "auto")
    assert doubts == [] and facts["16"]["white_level"] == 65535 and facts["16"]["dark"] == 2


def make_folder(root, contents: list[bytes]):
    for c, name in enumerate(("cat", "dog")):
        (root / "mine" / name).mkdir(parents=True)
        for i in range(4):
            y = np.full((9, 9, 3), 20 * i + 3 * c, np.uint8)
            Image.fromarray(y).save(root / "mine" / name / f"{i}.png")
    for i, content in enumerate(contents):
        ending = "png" if content.startswith(b"\x89PNG") else "tif"
        (root / "mine" / "cat" / f"wide{i}.{ending}").write_bytes(content)


def prepared(tmp_path, **settings):
    imagefolder.prepare(
        SETTINGS | settings, tmp_path, tmp_path / "out", logging.getLogger("sightlines")
    )
    return read_json(tmp_path / "out" / "dataset.json")


def test_networks_see_the_folders_scale(tmp_path, caplog):
    """One photograph of 12 bits is half as bright as the other, and stays so."""
    flat = np.full((30, 30), 1, np.uint16)
    make_folder(tmp_path, [png16(flat * 4000, 0), tiff16(np.stack([flat * 2000] * 3, 2), 2)])
    with caplog.at_level(logging.INFO):
        facts = prepared(tmp_path)
    assert facts["white_levels"] == {
        "16": {"white_level": 4095, "largest_level": 4000, "photographs": 2, "dark": 0, "above": 0}
    }
    (line,) = [r.getMessage() for r in caplog.records if "white" in r.getMessage()]
    assert "4,095" in line and "dataset.white_level" in line
    compute = Compute(torch.device("cpu"), torch.float32, 1, 0)
    images = reading.open_dataset(tmp_path / "out" / "dataset.json", tmp_path, compute)
    levels = {}
    for split in ("train", "test"):
        for index, path in enumerate(images_of(images, split)):
            levels[path] = next(images.batches(split, [np.array([index])]))[0, :, 12, 12].tolist()
    assert levels["cat/wide0.png"] == [249] * 3 and levels["cat/wide1.tif"] == [125] * 3
    assert levels["cat/1.png"] == [20] * 3


def images_of(images, split):
    table = reading.read_manifest(images.path, images.facts, split)
    return table["path"].tolist()


def test_a_folder_of_several_depths_is_refused_with_the_key_that_decides(tmp_path):
    make_folder(tmp_path, [GREY["png"](1023), COLOUR["tiff"](4095), GREY["tiff"](65535)])
    with pytest.raises(DataError) as caught:
        prepared(tmp_path)
    message = str(caught.value)
    assert "has 2 problems" in message and "cat/wide0.png: " in message
    assert "cat/wide1.tif: " in message and "dataset.white_level" in message
    facts = prepared(tmp_path, white_level=1023)
    assert white_levels(facts) == {16: 1023} and facts["white_levels"]["16"]["above"] == 2


def test_plain_folders_say_nothing_and_keep_their_name(tmp_path):
    make_folder(tmp_path, [])
    assert "white_levels" not in prepared(tmp_path) and describe_white({}) == ""
    named = imagefolder.variant(SETTINGS)
    assert imagefolder.variant(SETTINGS | {"white_level": "auto", "max_megapixels": 179}) == named
    assert imagefolder.variant(SETTINGS | {"white_level": 1023}) != named
    assert imagefolder.variant(SETTINGS | {"max_megapixels": 100}) != named


def test_what_is_white_in_words():
    facts, _ = wide_pixels.decide_white({"a": depth(4000), "b": depth(70)}, "auto")
    said = describe_white({"white_levels": facts})
    assert "level 4,095 is white in 2 photographs of 16 bits" in said and "1 keep few grey" in said
