"""The numbers that a figure shows, read off the figure itself.

Whatever a figure draws with matplotlib's `plot`, `scatter`, `errorbar`, `bar`, `fill_between` or
`imshow` is in its table: these are the numbers as drawn, of the drawing's own selection. A figure
names its series by `label=`; what has the label ``_nolegend_`` is decoration and left out, and so
are pictures in colour, such as photographs. Where one image shows many small maps, `state` says
what its cells are.
"""

import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import FillBetweenPolyCollection, PathCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

COLUMNS = ("panel", "title", "series", "x_axis", "x", "y_axis", "y", "low", "high", "value")
"""Of the table: number and title of the panel; the series; places on the axes, and their names; the
interval of y (of x where bars lie along x); of a map the value of its cell."""
DECORATION = "_nolegend_"
UNNAMED = "_child", "_image", "_container"
"""How labels begin that matplotlib gives by itself."""

_STATED: weakref.WeakKeyDictionary[Artist, pd.DataFrame] = weakref.WeakKeyDictionary()


class Series(NamedTuple):
    """What one artist shows."""

    label: str
    rows: pd.DataFrame


def state(artist: Artist, rows: pd.DataFrame) -> None:
    """Say what an artist shows, where its own coordinates do not.

    Args:
        artist: Such as an image of many small maps.
        rows: Columns out of COLUMNS; `series` may differ from row to row.
    """
    _STATED[artist] = rows


def numbers(figure: Figure) -> pd.DataFrame:
    """One row a point, bar or cell that a figure shows, with the columns COLUMNS.

    Args:
        figure: As `draw` returned it.
    """
    parts: list[pd.DataFrame] = []
    panels = list(_panels(figure.axes))
    for axes in panels:
        found = list(_series(axes))
        if not found:
            continue
        names: dict[str, Any] = {
            "panel": len(parts) + 1,
            "title": _title(axes, panels),
            "x_axis": _one_line(axes.get_xlabel() or _shared(axes, panels, "x")),
            "y_axis": _one_line(axes.get_ylabel() or _shared(axes, panels, "y")),
        }
        own = [each.rows.assign(**{"series": each.label} | _given(each.rows)) for each in found]
        parts.append(pd.concat(own, ignore_index=True).assign(**names))
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(parts, ignore_index=True).reindex(columns=list(COLUMNS))


def _given(rows: pd.DataFrame) -> dict[str, Any]:
    """The series of rows that say it themselves."""
    return {"series": rows["series"]} if "series" in rows else {}


def _panels(found: Iterable[Axes]) -> Iterator[Axes]:
    """Axes with those inside of them, without colour bars."""
    for axes in found:
        if axes.get_label() == "<colorbar>" or not isinstance(axes, Axes):
            continue
        yield axes
        yield from _panels(a for a in axes.child_axes if isinstance(a, Axes))


def _series(axes: Axes) -> Iterator[Series]:
    taken: set[Artist] = set()
    bands: dict[str, pd.DataFrame] = {}
    for container in axes.containers:
        taken.update(each for each in container.get_children() if each is not None)
        label = _label(container)
        if label is None or not isinstance(container, BarContainer | ErrorbarContainer):
            continue
        rows = _bars(container) if isinstance(container, BarContainer) else _errors(container)
        yield Series(label, _named(axes, rows))
    for artist in axes.collections:
        label = _label(artist)
        if isinstance(artist, FillBetweenPolyCollection) and label is not None:
            bands[label] = pd.concat([bands.get(label), _band(artist)])
    for line in axes.lines:
        label = _label(line)
        if label is None or line in taken:
            continue
        rows = _line(axes, line)
        if (band := bands.get(label)) is not None and len(band) and "x" in rows:
            if band["x"].is_unique and set(band["x"]) <= set(rows["x"]):
                rows = rows.merge(bands.pop(label), how="left", on="x")
        yield Series(label, _named(axes, rows))
    for label, rows in bands.items():
        yield Series(label, _named(axes, rows))
    for artist in axes.collections:
        label = _label(artist)
        if isinstance(artist, PathCollection) and label is not None and artist not in taken:
            x, y = _plain(artist.get_offsets()).T
            yield Series(label, _named(axes, _finite(pd.DataFrame({"x": x, "y": y}))))
    for image in axes.images:
        label = _label(image)
        if label is not None and isinstance(image, AxesImage):
            if image in _STATED:
                yield Series(label, _STATED[image])
            elif np.ndim(np.asarray(image.get_array())) == 2:
                yield Series(label, _named(axes, _cells(image)))


def _label(artist: Any) -> str | None:
    """The name of a series: empty where the figure gives none, None where it is decoration."""
    label = str(artist.get_label() or "")
    if label == DECORATION or not getattr(artist, "get_visible", lambda: True)():
        return None
    return "" if label.startswith(UNNAMED) else _one_line(label)


def _line(axes: Axes, line: Line2D) -> pd.DataFrame:
    """Points of a line; of one across the whole panel only where it lies."""
    x, y = map(_plain, line.get_data())
    in_x, in_y = line.get_transform().contains_branch_seperately(axes.transData)
    if in_x and in_y:
        return _finite(pd.DataFrame({"x": x, "y": y}))
    if in_x or in_y:
        return pd.DataFrame({"x": x} if in_x else {"y": y}).drop_duplicates().dropna()
    return pd.DataFrame()


def _plain(values: Any) -> np.ndarray:
    """Numbers with NaN where they are masked."""
    return np.asarray(np.ma.asarray(values, float).filled(np.nan))


def _finite(rows: pd.DataFrame) -> pd.DataFrame:
    """Points that are drawn."""
    return rows[np.isfinite(rows["x"]) & np.isfinite(rows["y"])]  # type: ignore[no-any-return]


def _errors(container: ErrorbarContainer) -> pd.DataFrame:
    line, _, bars = container.lines
    if line is None:
        return pd.DataFrame()
    x, y = map(_plain, line.get_data())
    rows = pd.DataFrame({"x": x, "y": y})
    across = 1 if container.has_yerr else 0
    ends = [np.asarray(segment, float) for segment in bars[-1].get_segments()] if bars else []
    if len(ends) == len(rows):
        rows["low"] = [end[:, across].min() if len(end) else np.nan for end in ends]
        rows["high"] = [end[:, across].max() if len(end) else np.nan for end in ends]
    return _finite(rows)


def _bars(container: BarContainer) -> pd.DataFrame:
    is_upright = container.orientation != "horizontal"
    rows = [
        (b.get_x() + b.get_width() / 2, b.get_y() + b.get_height())
        if is_upright
        else (b.get_x() + b.get_width(), b.get_y() + b.get_height() / 2)
        for b in container.patches
    ]
    return _finite(pd.DataFrame(rows, columns=["x", "y"], dtype=float))


def _band(band: FillBetweenPolyCollection) -> pd.DataFrame:
    """Places and both edges of an area, out of its outline: there and back again."""
    parts = []
    for path in band.get_paths():
        outline = np.asarray(path.vertices)
        count = (len(outline) - 3) // 2
        there, back = outline[1 : count + 1], outline[count + 2 : 2 * count + 2][::-1]
        low, high = np.sort([there[:, 1], back[:, 1]], axis=0)
        parts.append(pd.DataFrame({"x": there[:, 0], "low": low, "high": high}))
    return pd.concat(parts) if parts else pd.DataFrame({"x": [], "low": [], "high": []})


def _cells(image: AxesImage) -> pd.DataFrame:
    """Cells of a map, those without a value left out."""
    values = _plain(image.get_array())
    left, right, bottom, top = image.get_extent()
    first, last = (top, bottom) if image.origin == "upper" else (bottom, top)
    rows, columns = (
        begin + (np.arange(count) + 0.5) * (end - begin) / count
        for begin, end, count in zip((first, left), (last, right), values.shape, strict=True)
    )
    y, x = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
    found = pd.DataFrame({"x": x, "y": y, "value": values.ravel()})
    return found[np.isfinite(found["value"])]  # type: ignore[no-any-return]


def _named(axes: Axes, rows: pd.DataFrame) -> pd.DataFrame:
    """Places on an axis of names by their names."""
    found = {}
    for key, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if key in rows and (names := _names(axis)):
            places = np.array(list(names))
            nearest = np.abs(rows[key].to_numpy(float)[:, None] - places).argmin(axis=1)
            found[key] = [names[places[place]] for place in nearest]
    return rows.assign(**found)


def _names(axis: Axis) -> dict[float, str]:
    """Names by place, where an axis has names instead of numbers."""
    locator = axis.get_major_locator()
    places = [float(p) for p in locator()] if isinstance(locator, FixedLocator) else []
    if not places:
        return {}
    said = axis.get_major_formatter().format_ticks(places)
    names = {place: _one_line(name) for place, name in zip(places, said, strict=False)}
    is_bare = not any(names.values())  # of a row of maps only the first has its axis labelled
    return {} if is_bare or any(map(_is_number, names.values())) else names


def _is_number(text: str) -> bool:
    plain = text.replace(",", "").replace("−", "-").strip()
    if plain in {"½", "⅓", "⅔", "¼", "¾"}:
        return True
    try:
        float(plain)
    except ValueError:
        return False
    return True


def _title(axes: Axes, panels: list[Axes]) -> str:
    """A panel's own title, or that of the next panel above it in its column."""
    own = axes.get_title() or axes.get_title(loc="left")
    spec = axes.get_subplotspec()
    if own or spec is None:
        return _one_line(own)
    above = [
        (place.rowspan.start, other.get_title() or other.get_title(loc="left"))
        for other in panels
        if (place := other.get_subplotspec()) is not None
        and place.get_gridspec() is spec.get_gridspec()
        and place.colspan.start == spec.colspan.start
        and place.rowspan.start < spec.rowspan.start
    ]
    titles = [title for _, title in sorted(above, key=lambda pair: pair[0]) if title]
    return _one_line(titles[-1]) if titles else ""


def _shared(axes: Axes, panels: list[Axes], which: str) -> str:
    """The label of an axis that stands at the end of a row or of a column of panels."""
    spec = axes.get_subplotspec()
    if spec is None:
        return ""
    groups = axes.get_shared_y_axes() if which == "y" else axes.get_shared_x_axes()
    found = []
    for other in panels:
        place, text = other.get_subplotspec(), getattr(other, f"get_{which}label")()
        if place is None or place.get_gridspec() is not spec.get_gridspec() or not text:
            continue
        is_in_line = (
            place.rowspan == spec.rowspan
            if which == "y"
            else (place.colspan == spec.colspan and place.rowspan.start >= spec.rowspan.start)
        )
        if is_in_line and bool(other.images) == bool(axes.images):
            found.append((not groups.joined(axes, other), text))
    return str(min(found, key=lambda pair: pair[0])[1]) if found else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
