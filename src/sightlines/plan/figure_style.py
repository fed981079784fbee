"""How figures look: settings of the package's matplotlib style file, and of a user's laid over it.

They are values of the figures' config, as text: another look draws figures again, and nothing else.
A style may say how things look and how wide a figure is, and not how files are written: that is
what makes the same figure the same bytes.
"""

import functools
import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sightlines.core.errors import ConfigError
from sightlines.plan.registry import PACKAGE

OWN = PACKAGE / "figures" / "sightlines.mplstyle"
LOOKS = re.compile(
    r"(axes|errorbar|font|grid|hatch|legend|lines|markers|patch|scatter|xtick|ytick)\..+"
    r"|figure\.(figsize|facecolor|edgecolor|labelsize|labelweight|titlesize|titleweight)"
    r"|figure\.constrained_layout\..+|image\.cmap|text\.color"
)
"""Settings of matplotlib that a style may have."""
FIXED = frozenset({"axes.formatter.useoffset", "axes.formatter.use_mathtext", "axes.unicode_minus"})
"""Of those, the ones that figures count on."""
LARGEST = 100_000
"""Bytes of a style file."""
WIDTHS_IN = 2.0, 40.0
"""Between which a figure's panels have room, and its pictures fit into memory."""


@functools.cache
def own_settings() -> Mapping[str, str]:
    """Those of the package's own style file."""
    return _parsed(OWN)


def settings(folder: Path, name: str) -> dict[str, str]:
    """The settings with which an experiment's figures are drawn.

    Args:
        folder: Of the experiment's config file, where the style file lies.
        name: Of a user's style file; empty: the package's own alone.

    Raises:
        ConfigError: the file cannot be read, or a line of it is no setting of how figures look.
    """
    if not name:
        return dict(own_settings())
    found = _parsed(folder / name)
    _validate(found, folder / name)
    return {**own_settings(), **found}


def _parsed(path: Path) -> dict[str, str]:
    """Settings as text, in the order of the file.

    Raises:
        ConfigError: the file cannot be read, or a line is not `setting: value`.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path} is larger than {LARGEST:,} bytes: that is no style file")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text (UTF-8)"
        raise ConfigError(
            f"cannot read the style file {path}: {reason}. figure_style names a file beside the "
            "config file"
        ) from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = _without_comment(line).strip()
        if not line:
            continue
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not value:
            raise ConfigError(f"{path}, line {number}: {line!r} is not `setting: value`")
        if key in found:
            raise ConfigError(f"{path}, line {number}: {key} stands twice: leave out one")
        if key in FIXED and path != OWN:
            raise ConfigError(f"{path}, line {number}: {key} is fixed: leave it out")
        if not LOOKS.fullmatch(key):
            raise ConfigError(
                f"{path}, line {number}: {key} is no setting of how figures look; allowed are "
                "those of font, axes, xtick, ytick, legend, lines, patch, grid, and "
                "figure.figsize, whose first number is the width"
            )
        found[key] = value[1:-1] if value[0] == value[-1] == '"' and len(value) > 1 else value
    return found


def _without_comment(line: str) -> str:
    """A line up to a # that does not stand in double quotes, as matplotlib reads it."""
    is_quoted = False
    for place, character in enumerate(line):
        if character == '"':
            is_quoted = not is_quoted
        elif character == "#" and not is_quoted:
            return line[:place]
    return line


def _validate(found: Mapping[str, str], path: Path) -> None:
    """Hold values against what matplotlib takes, before hours are spent.

    Raises:
        ConfigError: it does not take one.
    """
    if not found:
        return
    import matplotlib  # half a second, for those alone who have a style

    known: Any = matplotlib.RcParams()
    for key, value in found.items():
        try:
            known[key] = value
        except KeyError:
            raise ConfigError(f"{path}: matplotlib has no setting {key}") from None
        except ValueError as error:
            said = " ".join(str(error).split())
            raise ConfigError(f"{path}: {key}: {said}") from None
        if said := _undrawable(key, known[key], matplotlib.colormaps):
            raise ConfigError(f"{path}: {key}: {said}")


def _undrawable(key: str, value: Any, colour_maps: Collection[str]) -> str:
    """What is wrong with a value that matplotlib takes, but cannot draw with; empty for nothing."""
    numbers = [n for n in (value if isinstance(value, list) else [value]) if isinstance(n, float)]
    if not all(map(math.isfinite, numbers)):
        return "give finite numbers"
    if key == "figure.figsize" and not WIDTHS_IN[0] <= value[0] <= WIDTHS_IN[1]:
        return f"the width is {value[0]:g} in; give one from {WIDTHS_IN[0]:g} to {WIDTHS_IN[1]:g}"
    if key == "font.size" and value <= 0:
        return f"{value:g} is no size; give one above 0, in points"
    if key == "image.cmap" and value not in colour_maps:
        return f"matplotlib has no map of colours {value!r}; there are magma, viridis, cividis, …"
    if key == "axes.prop_cycle" and not len(value):
        return "it is empty; give a colour for each model"
    return ""
