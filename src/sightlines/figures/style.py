"""One look for all figures: colours, type, sizes, and files that are equal byte for byte.

What a reader may want otherwise is in a matplotlib style file, `sightlines.mplstyle`, over which
users lay their own (`plan/figure_style.py`); what makes equal figures equal files is fixed here.
Colours are Okabe and Ito's for lines and points and matplotlib's perceptually uniform magma for
maps: both keep their order for colour-blind readers and in print. Whatever `matplotlibrc` the
machine has is left aside, and no pyplot state is touched.
"""

import contextlib
import functools
import io
import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.style
from matplotlib import RcParams, rcParams
from matplotlib.artist import Artist
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from sightlines.core.files import atomic, write_table
from sightlines.figures import drawn, fonts
from sightlines.plan.figure_style import own_settings
from sightlines.plan.networks import Network, per_cent
from sightlines.results.selecting import label

GUTTER_IN = 0.2
"""Between the two columns of a page."""

PNG_DPI, SVG_DPI = 200, 72

FIXED: dict[str, Any] = {
    "axes.formatter.useoffset": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "image.origin": "lower",
    "image.interpolation": "none",
    "pdf.fonttype": 42,
    "savefig.facecolor": "auto",
    "svg.fonttype": "path",
    "svg.hashsalt": "sightlines",
    "text.parse_math": False,
    "text.usetex": False,
}
"""What no style file changes. Type 42: fonts are embedded as outlines that journals accept."""
OPTIONS: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"dpi": PNG_DPI, "metadata": {"Software": None}},
    "pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
}
"""Of each kind of picture: without dates or versions."""

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"
GREY, BLACK, MISSING = "#7F7F7F", "#000000", "#B8BCC2"

MODEL_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
FRACTION_COLOURS = {"f000": GREY, "f003": ORANGE, "f010": VERMILLION, "f030": SKY, "f100": BLUE}
FRACTION_MARKERS = {"f000": "x", "f003": "v", "f010": "s", "f030": "^", "f100": "o"}
_SPARE_COLOURS = (GREEN, PURPLE, BLACK, "#8C6D31")


class Look(NamedTuple):
    """How a figure was drawn.

    Attributes:
        settings: Of matplotlib, as text.
        families: Fonts that follow the style's own.
    """

    settings: Mapping[str, str]
    families: tuple[str, ...]


_LOOKS: weakref.WeakKeyDictionary[Figure, Look] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def context(
    settings: Mapping[str, str] | None = None, families: tuple[str, ...] = ()
) -> Iterator[None]:
    """Matplotlib's own defaults with a style on top, for the block only.

    Args:
        settings: Of the style, as text; the package's own by default.
        families: Fonts that follow the style's own for characters that it lacks.
    """
    known = rc(settings or own_settings())
    known |= {"font.family": [fonts.own(known), *families]} | FIXED
    with matplotlib.style.context(["default", known]), fonts.quiet():
        yield


def rc(settings: Mapping[str, str]) -> dict[str, Any]:
    """Settings of a style as matplotlib has them: numbers, lists, colours."""
    known: Any = RcParams()
    for key, value in settings.items():
        known[key] = value
    return dict(known)


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run a figure's `draw` in its config's style, with fonts for all that it is given."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Figure:
        settings = _settings([*args, *kwargs.values()])
        families = fonts.fallbacks(fonts.own(rc(settings)), args, kwargs)
        with context(settings, families):
            figure = draw(*args, **kwargs)
        _LOOKS[figure] = Look(settings, families)
        return figure

    return wrapped


def _settings(given: list[Any]) -> Mapping[str, str]:
    """The style that the config among a figure's arguments has; else the package's own."""
    found = [own["style"] for own in given if isinstance(own, Mapping) and own.get("style")]
    return found[0] if found else own_settings()


def look_of(figure: Figure) -> Look:
    """How a figure was drawn; in the package's own style where nothing is known of it."""
    return _LOOKS.get(figure, Look(own_settings(), ()))


def full_width() -> float:
    """Width of a figure across a page's columns, in inches: as the style has it."""
    return float(rcParams["figure.figsize"][0])


def column_width() -> float:
    """Width of a figure in one of a page's two columns, in inches."""
    return (full_width() - GUTTER_IN) / 2


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


def series_name(config: Mapping[str, Any], network: Network | None) -> str:
    """What a network's series is called in a figure's numbers: model, share of images, seed."""
    if network is None:
        return ""
    share = per_cent(network.fraction)
    what = "" if share == 100 else f", {fraction_label(network.fraction)}"
    return f"{label(dict(config), network.model)}{what}, {network.seed}"


def model_look(models: list[str], model: str) -> dict[str, Any]:
    """Colour and marker of a model by its place among `models`."""
    place = models.index(model)
    colours = rcParams["axes.prop_cycle"].by_key().get("color", [BLACK])
    turn = place // len(colours)
    return {
        "color": colours[place % len(colours)],
        "marker": MODEL_MARKERS[(place + turn) % len(MODEL_MARKERS)],
    }


def legend_below(figure: Figure, handles: Sequence[Artist], most: int) -> None:
    """A legend below a figure, in at most so many columns, and no more than fit its width."""
    for columns in range(most, 0, -1):
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= 0.98 * figure.bbox.width:
            return
        legend.remove()


def wrap_columns(count: int, most: int) -> tuple[int, int]:
    """Bands and columns that place `count` panels evenly, at most `most` side by side."""
    bands = max(1, math.ceil(count / most))
    return bands, max(1, math.ceil(count / bands))


def save(figure: Figure, paths: Mapping[str, Path]) -> None:
    """Write a figure's pictures, and the numbers that it shows: same figure, same bytes.

    Panels and texts are placed once, for all: finding their places takes as long as drawing them.

    Args:
        figure: What `draw` returned.
        paths: Where, by kind: ``svg``, ``pdf``, ``png``, and ``csv`` for the numbers.

    Raises:
        DiskError: the folder cannot be written; no file is left half written.
    """
    settings, families = look_of(figure)
    with context(settings, families), _arranged(figure):
        for kind, path in paths.items():
            if kind == "csv":
                write_table(path, drawn.numbers(figure))
                continue
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, **OPTIONS[kind])
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
