"""One look for all figures: colours, type, sizes, and files that are equal byte for byte.

Colours are Okabe and Ito's for lines and points and matplotlib's perceptually uniform magma for
maps: both keep their order for colour-blind readers and in print. Whatever `matplotlibrc` the
machine has is left aside, and no pyplot state is touched.
"""

import contextlib
import functools
import io
import math
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from sightlines.core.files import atomic
from sightlines.figures import fonts
from sightlines.plan.networks import per_cent

WIDTH_IN = 7.0
"""Width of a figure across a paper's two columns."""

PNG_DPI, SVG_DPI = 200, 72

RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 1.6,
    "ytick.minor.size": 1.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "grid.color": "0.88",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "image.cmap": "magma",
    "image.origin": "lower",
    "image.interpolation": "none",
    "text.parse_math": False,
    "text.usetex": False,
    "svg.hashsalt": "sightlines",
    "svg.fonttype": "path",
}

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"
GREY, BLACK, MISSING = "#7F7F7F", "#000000", "#B8BCC2"

MODEL_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, "#8C6D31")
MODEL_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
FRACTION_COLOURS = {"f000": GREY, "f003": ORANGE, "f010": VERMILLION, "f030": SKY, "f100": BLUE}
FRACTION_MARKERS = {"f000": "x", "f003": "v", "f010": "s", "f030": "^", "f100": "o"}
_SPARE_COLOURS = (GREEN, PURPLE, BLACK, "#8C6D31")


_FONTS: weakref.WeakKeyDictionary[Figure, tuple[str, ...]] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def context(families: tuple[str, ...] = ()) -> Iterator[None]:
    """Matplotlib's own defaults with this style on top, for the block only.

    Args:
        families: Fonts that follow the style's own for characters that it lacks.
    """
    more = {"font.family": [fonts.OWN, *families]} if families else {}
    with matplotlib.style.context(["default", RC | more]), fonts.quiet():
        yield


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run a figure's `draw` in this style, with fonts for all characters of what it is given."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Figure:
        families = fonts.fallbacks(args, kwargs)
        with context(families):
            figure = draw(*args, **kwargs)
        _FONTS[figure] = families
        return figure

    return wrapped


def families_of(figure: Figure) -> tuple[str, ...]:
    """Fonts that follow the style's own in a figure that was drawn in it."""
    return _FONTS.get(figure, ())


def fraction_look(fraction: str) -> dict[str, Any]:
    """Colour and marker of a data fraction such as ``f010``; the same in every figure."""
    if fraction in FRACTION_COLOURS:
        return {"color": FRACTION_COLOURS[fraction], "marker": FRACTION_MARKERS[fraction]}
    share = per_cent(fraction)
    return {"color": _SPARE_COLOURS[share % len(_SPARE_COLOURS)], "marker": "dDph"[share % 4]}


def fraction_label(fraction: str) -> str:
    """What a data fraction is called in legends."""
    share = per_cent(fraction)
    return {0: "untrained", 100: "all images"}.get(share, f"{share} % of the images")


def model_look(models: list[str], model: str) -> dict[str, Any]:
    """Colour and marker of a model by its place among `models`."""
    place = models.index(model)
    turn = place // len(MODEL_COLOURS)
    return {
        "color": MODEL_COLOURS[place % len(MODEL_COLOURS)],
        "marker": MODEL_MARKERS[(place + turn) % len(MODEL_MARKERS)],
    }


def wrap_columns(count: int, most: int) -> tuple[int, int]:
    """Bands and columns that place `count` panels evenly, at most `most` side by side."""
    bands = max(1, math.ceil(count / most))
    return bands, max(1, math.ceil(count / bands))


def save(figure: Figure, svg: Path, png: Path) -> None:
    """Write a figure as SVG and PNG, without dates or versions: same figure, same bytes.

    Panels and texts are placed once, for both: finding their places takes as long as drawing them.

    Raises:
        DiskError: the folder cannot be written; neither file is left half written.
    """
    with context(), _arranged(figure):
        for path, options in (
            (svg, {"format": "svg", "metadata": {"Date": None, "Creator": None}}),
            (png, {"format": "png", "dpi": PNG_DPI, "metadata": {"Software": None}}),
        ):
            buffer = io.BytesIO()
            figure.savefig(buffer, **options)
            with atomic(path) as handle:
                handle.write(buffer.getbuffer())


@contextlib.contextmanager
def _arranged(figure: Figure) -> Iterator[None]:
    """Place what a figure holds as SVG needs it, and let it stand there for the block."""
    engine, own_dpi = figure.get_layout_engine(), figure.dpi
    if engine is not None and figure.axes:
        FigureCanvasSVG(figure)  # whose texts are as long as their outlines at any resolution
        figure.dpi = SVG_DPI
        engine.execute(figure)
        figure.dpi = own_dpi
    figure.set_layout_engine(None)  # not "none", with which a figure is gone through once more
    try:
        yield
    finally:
        figure.set_layout_engine(engine)
