"""Fonts for labels in scripts that the figures' own font lacks.

All text is set in DejaVu Sans, or in the fonts of a user's style. Where a label has characters that
they lack, installed fonts that have them follow, found only then: as few as do, by their names
where several do alike. Which they were is in the job's record; what no font has is said in the log.
"""

import contextlib
import functools
import logging
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from matplotlib import font_manager, rcParamsDefault
from matplotlib.figure import Figure
from matplotlib.text import Text

LAST = "DejaVu Sans"
"""Matplotlib brings it, and takes it where none of a style's fonts is installed."""
GENERIC = ("serif", "sans-serif", "cursive", "fantasy", "monospace")
"""Families that a style lists fonts for."""
WEIGHTS = ("normal", "bold")
"""Weights in which figures set text."""
BOXES = "last resort"
"""In the names of fonts that have a box for every character, as matplotlib brings one."""
CURE = (
    "install a font that has them (fonts-noto-cjk, fonts-noto-core), then delete the figure and "
    "run snakemake again"
)
_INVISIBLE = ("C", "Z", "Mn")
"""Categories of characters that leave no mark of their own: controls, blanks, combining marks."""


def asked(settings: Mapping[str, Any]) -> list[str]:
    """The fonts that a style names, the first choice first.

    Args:
        settings: Of matplotlib; what is absent is matplotlib's default.
    """
    defaults: Any = rcParamsDefault
    known: dict[str, Any] = {**defaults, **settings}
    named: list[str] = []
    for family in known["font.family"]:
        named += known[f"font.{family}"] if family in GENERIC else [family]
    return list(dict.fromkeys(named))


def own(settings: Mapping[str, Any]) -> str:
    """The font in which a style sets text: the first of those it names that is installed."""
    with quiet():
        return next((name for name in asked(settings) if _face(name)), LAST)


def fallbacks(own: str, *inputs: Any) -> tuple[str, ...]:
    """Families that follow a style's own for the texts of a figure's tables and config.

    Args:
        own: The style's own.
        inputs: Strings, tables, and mappings and lists of them.
    """
    with quiet():
        wide = _visible(_strings(inputs))
        faces = [_face(own, weight) for weight in WEIGHTS if wide]
        return _choose(frozenset(c for c in wide if not all(_has(f, c) for f in faces)), own)


def lacking(figure: Figure, families: Iterable[str]) -> dict[str, list[str]]:
    """Characters of each of a drawn figure's texts that none of its fonts has.

    Args:
        figure: The figure.
        families: In which it was drawn, the style's own first.
    """
    found = {}
    for text in figure.findobj(Text):
        words, weight = text.get_text(), text.get_fontweight()
        if words.isascii() or not text.get_visible():
            continue
        faces = [face for family in families if (face := _face(family, weight))]
        missing = [c for c in _visible([words]) if not any(_has(face, c) for face in faces)]
        if missing:
            found[words] = missing
    return found


def explain(missing: Mapping[str, list[str]]) -> str:
    """What `lacking` found in one line, with the cure; empty where it found nothing."""
    if not missing:
        return ""
    labels = ", ".join(f"{label!r} ({' '.join(found)})" for label, found in missing.items())
    return f"no installed font has characters of the labels {labels}: {CURE}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Matplotlib's words on glyphs and weights of fonts off for the block: `lacking` has them."""
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    with warnings.catch_warnings():
        for message in ("Glyph .* missing from", "Matplotlib currently does not support"):
            warnings.filterwarnings("ignore", message=message)
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _strings([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _strings(part)
    elif hasattr(value, "select_dtypes"):
        for _, column in value.select_dtypes(exclude=["number", "bool"]).items():
            yield from _strings(column.dropna().unique().tolist())


def _visible(texts: Iterable[str]) -> list[str]:
    """Characters of some texts that leave a mark, beyond ASCII, once each and in their order."""
    wide = dict.fromkeys("".join(text for text in texts if not text.isascii()))
    return [c for c in wide if not (c.isascii() or unicodedata.category(c).startswith(_INVISIBLE))]


@functools.cache
def _choose(characters: frozenset[str], own: str) -> tuple[str, ...]:
    """The fewest families, one after the other that which has most of what is still missing."""
    if not characters:
        return ()
    _notice_new_fonts()
    listed = {entry.name for entry in font_manager.fontManager.ttflist} - {own}
    names = sorted(name for name in listed if BOXES not in name.lower())
    faces = {name: face for name in names if (face := _face(name))}
    has = {name: {c for c in characters if _has(face, c)} for name, face in faces.items()}
    chosen: list[str] = []
    missing = set(characters)
    while missing:
        best = max(has, key=lambda name: (len(has[name] & missing), "sans" in name.lower()))
        if not has[best] & missing:
            break
        chosen.append(best)
        missing -= has[best]
    return tuple(chosen)


def _notice_new_fonts() -> None:
    """Add fonts that were installed after matplotlib made its list of them."""
    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            manager.addfont(path)
        except Exception:  # FreeType fails in many ways on damaged fonts
            continue


def _face(family: str, weight: str | int = "normal") -> Any:
    """The face in which matplotlib would set a family; None where it cannot be read."""
    try:
        wanted = font_manager.FontProperties(family=family, weight=weight)
        path = font_manager.fontManager.findfont(wanted, fallback_to_default=False)
        return font_manager.get_font(path)
    except Exception:  # as above, and ValueError where the family is gone
        return None


def _has(font: Any, character: str) -> bool:
    """Whether a font has a character in a form that can be drawn, which bitmaps are not."""
    if not font.get_char_index(ord(character)):
        return False
    try:
        font.set_size(8, 72)
        font.load_char(ord(character))
    except Exception:  # as above
        return False
    return True
