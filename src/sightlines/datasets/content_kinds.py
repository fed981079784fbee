"""Names what a file that cannot be opened as a photograph is, by its first bytes, with the cure."""

RAW = "a raw file of a camera"
CONVERT = "convert it to JPEG or PNG"
EXPORT = "export it as JPEG, PNG or TIFF"
REMOVE = "it is no photograph: remove it"
AGAIN = "download the photograph itself"

_BRANDS = (
    ("avif avis", "AVIF"),
    ("heic heix heim heis hevc hevx hevm hevs mif1 msf1", "HEIC (HEIF)"),
    ("crx ", "a raw file of a Canon camera (CR3)"),
)
"""Brands of the ISO base media container, in the order in which they decide."""

_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"\xff\x0a", "JPEG XL", CONVERT),
    (b"\0\0\0\x0cJXL ", "JPEG XL", CONVERT),
    (b"\0\0\0\x0cjP  ", "JPEG 2000", CONVERT),
    (b"\xff\x4f\xff\x51", "JPEG 2000", CONVERT),
    (b"version https://git-lfs", "a pointer of Git LFS", "run git lfs pull"),
    (b"/annex/objects/", "a pointer of git-annex", "run git annex get"),
    (b"%PDF", "PDF", EXPORT),
    (b"%!PS", "PostScript", EXPORT),
    (b"8BPS", "a Photoshop document", EXPORT),
    (b"8BPB", "a Photoshop document", EXPORT),
    (b"gimp xcf", "a GIMP document", EXPORT),
    (b"v/1\x01", "OpenEXR", "scale it to 8 or 16 bits and " + EXPORT),
    (b"#?RADIANCE", "Radiance HDR", "scale it to 8 or 16 bits and " + EXPORT),
    (b"FUJIFILMCCD-RAW", RAW, EXPORT),
    (b"IIRO", RAW, EXPORT),
    (b"IIRS", RAW, EXPORT),
    (b"IIU\0", RAW, EXPORT),
    (b"\x89HDF", "HDF5", EXPORT),
    (b"SIMPLE  =", "FITS", EXPORT),
    (b"\x1aE\xdf\xa3", "a film (Matroska, WebM)", REMOVE),
    (b"PK\x03\x04", "a ZIP archive or an office document", "unpack it"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"\0\5\x16\7", "a side file of macOS", REMOVE),
)


def name_kind(content: bytes) -> str:
    """What a file is and what to do with it; empty where that is not known."""
    if content[4:8] == b"ftyp":
        return _container(content)
    for beginning, kind, cure in _BEGINNINGS:
        if content.startswith(beginning):
            return f"{kind}, which is not read: {cure}"
    if content[128:132] == b"DICM":
        return f"DICOM, which is not read: {EXPORT}"
    if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
        return f"a film (AVI): {REMOVE}"
    if content[:2] == b"\xff\xd8" and _jpeg_bits(content) not in (0, 8):
        return f"a JPEG of {_jpeg_bits(content)} bits a channel, which is not read: {CONVERT}"
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff(content)
    if not content.strip(b"\0"):
        return "nothing but zeros, as a broken download or copy leaves: get it again"
    return _text(content[:2048])


def _container(content: bytes) -> str:
    size = int.from_bytes(content[:4], "big")
    box = content[8 : min(max(size, 16), 512)]
    brands = {box[:4], *(box[i : i + 4] for i in range(8, len(box), 4))}
    for names, kind in _BRANDS:
        if brands & {name.encode() for name in _fours(names)}:
            return _avif() if kind == "AVIF" else f"{kind}, which is not read: {CONVERT}"
    return f"a film (MP4, MOV): {REMOVE}"


def _fours(names: str) -> list[str]:
    """Names of four characters with blanks between."""
    return [names[i : i + 4] for i in range(0, len(names), 5)]


def _avif() -> str:
    from PIL import features

    if features.check("avif"):
        return "AVIF, damaged or cut off: get it again"
    return f"AVIF, which this Pillow was built without: install another, or {CONVERT}"


def _jpeg_bits(content: bytes) -> int:
    """Bits a channel of a JPEG, from its frame header; 0 where there is none."""
    place = 2
    while content[place : place + 1] == b"\xff" and place + 4 < len(content):
        marker = content[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return content[place + 4]
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return 0


def _tiff(content: bytes) -> str:
    if content[8:10] == b"CR":
        return f"a raw file of a Canon camera (CR2), which is not read: {EXPORT}"
    return (
        "a TIFF whose layout of pixels is not read, or that is damaged: save it as grey or RGB of "
        "8 or 16 bits, with interleaved channels"
    )


def _text(beginning: bytes) -> str:
    """A web page, a drawing or another text."""
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return f"a drawing (SVG), which is not read: {CONVERT}"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return f"a web page, not a photograph: {AGAIN}"
    if text.startswith((b"<?xml", b"{", b"[")):
        return f"XML or JSON, not a photograph: {AGAIN}"
    return ""
