"""What every table holds, as the module that writes it declares it.

    TABLES = {
        "attention_distance.csv": {
            "about": "How far each attention head looks",
            "row": "network × block × head",
            "columns": (
                "network",
                "block",
                ("distance_px", "float", "px", "mean distance between query and key patches"),
                …,
            ),
        },
    }

A column is (name, type, unit, meaning), with a fifth word, ``optional``, where not every experiment
has it; or one word of SHARED, for columns that many tables have. Their order is that of the file.
Files that are no tables are declared beside them, in FILES, by `about` and `row` alone. From this
follow the checks of what a measure returns (`run.measure`), what a reader may rely on
(`results.tables`), and docs/tables.md.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sightlines.plan import registry

TYPES = {
    "int": "whole number",
    "float": "number, float64",
    "float32": "number, float32",
    "text": "text",
    "bool": "true or false",
}
"""Types of columns. Numbers that may be missing are ``float``: NaN, in CSV an empty cell."""

Cells = tuple[str, ...]
"""Name, type, unit and meaning of a column; ``optional`` if it is."""


def _network(suffix: str = "", prefix: str = "", whose: str = "") -> tuple[Cells, ...]:
    return (
        (f"{prefix}model{suffix}", "text", "", f"model{whose}, as the config names it"),
        (
            f"{prefix}fraction{suffix}",
            "text",
            "",
            "share of the training images in per cent, f003 … f100; f000: untrained",
        ),
        (
            f"{prefix}seed{suffix}",
            "text",
            "",
            "which of the model's networks, s0, s1, …; s0_on: untrained, and switched on",
        ),
    )


SHARED: dict[str, tuple[Cells, ...]] = {
    "network": _network(),
    "network_a": _network("_a", whose=" of the first network"),
    "network_b": _network("_b", whose=" of the second network"),
    "other_network": _network(prefix="other_", whose=" of the network compared with"),
    "layer": (("layer", "int", "", "the layer's place in `layers.csv`"),),
    "layer_a": (("layer_a", "int", "", "the first network's layer, by its place in `layers.csv`"),),
    "layer_b": (("layer_b", "int", "", "the second one's layer, by its place in `layers.csv`"),),
    "name": (("name", "text", "", "the layer's name"),),
    "kind": (
        ("kind", "text", "", "embed, norm, attn, mlp_hidden, mlp, residual (block output), conv"),
    ),
    "block": (("block", "int", "", "block or residual unit, from 0"),),
    "depth": (("depth", "float", "", "normalised depth, 0 (first) … 1 (last)"),),
    "head": (("head", "int", "", "head of the block, from 0"),),
    "left_out": (
        (
            "left_out",
            "int",
            "",
            "group of images that this jackknife replicate leaves out; −1: none, the value itself",
        ),
    ),
    "index": (
        (
            "index",
            "text",
            "",
            "index of similarity: linear, deconfounded, without_top, rbf, procrustes, neighbours",
        ),
        ("value", "float", "", "similarity by this index"),
        ("shuffled", "float", "", "the same with the second one's images shuffled"),
    ),
    "task": (
        ("task", "text", "", "the other task, as `transfer` in the config names it"),
        ("domain", "text", "", "whether its images are like the experiment's own: in, out"),
    ),
    "chance": (("chance", "float", "share", "accuracy of guessing, 1 / number of classes"),),
    "probed_images": (
        ("train_images", "int", "images", "images that the probe was fitted to"),
        ("test_images", "int", "images", "images that the accuracy is of"),
    ),
    "curve": (
        ("step", "int", "", "optimiser step, from 0"),
        ("split", "text", "", "train, validation"),
        ("loss", "float", "nats", "mean cross entropy"),
        ("accuracy", "float", "share", "accuracy"),
        ("learning_rate", "float", "", "learning rate of the step"),
    ),
    "response": (
        ("condition", "text", "", "what is changed; clean: nothing"),
        ("severity", "float", "", "how much of it (docs/protocols.md); 0 of clean"),
        ("accuracy", "float", "share", "images whose most probable output is the right one"),
        ("accuracy_among", "float", "share", "the same among the classes' outputs alone"),
        ("above_chance", "float", "", "(accuracy − chance) ÷ (1 − chance)"),
        ("retention", "float", "", "that over the clean images' own; empty below 3 × chance"),
        ("agreement", "float", "share", "images that are answered as when they were clean"),
        ("log_p", "float", "nats", "mean logarithm of the right output's probability"),
        ("margin", "float", "", "mean of the right output less the largest other one"),
        ("confidence", "float", "", "mean of the largest probability"),
        ("correlation", "float", "", "features after the last block, Pearson's r with clean ones"),
        ("floor", "float", "", "that r of clean features of different images"),
        ("excess", "float", "", "(correlation − floor) ÷ (1 − floor)"),
        ("correlation_normed", "float", "", "correlation after the final norm, if there is one"),
        ("excess_normed", "float", "", "excess after the final norm, if there is one"),
        ("changed_share", "float", "share", "pixels that differ from the clean image"),
        ("change_rms", "float", "", "root mean square of the change, in units of the full range"),
        ("images", "int", "images", "images that these are means of"),
        ("chance", "float", "share", "accuracy of guessing, 1 / number of outputs"),
        (
            "left_out",
            "int",
            "",
            "group of images that this jackknife replicate leaves out; −1: none, the value itself",
        ),
    ),
    "draw": (
        ("shots", "int", "images", "training images of each class; 0: all images"),
        ("draw", "int", "", "which draw of them"),
    ),
}
"""Word -> the columns that it stands for."""


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        name: As in the file.
        type: One of TYPES.
        unit: Empty for what has none.
        meaning: In a few words.
        is_optional: Whether only some experiments have it.
    """

    name: str
    type: str
    unit: str
    meaning: str
    is_optional: bool


class Schema(NamedTuple):
    """One table, or another file that stands among the tables.

    Attributes:
        name: File name, such as ``cka.parquet``.
        about: What it says.
        row: What one row is of.
        columns: In the order of the file; none of what is no table.
        writer: Folder and name of the module that writes it, such as ``measures/cka``.
    """

    name: str
    about: str
    row: str
    columns: tuple[Column, ...]
    writer: str

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that every such table has."""
        return tuple(column.name for column in self.columns if not column.is_optional)


def columns(declared: tuple[str | Cells, ...]) -> Iterator[Column]:
    """The columns that a table declares, SHARED words resolved.

    Raises:
        ValueError: a word stands for none, or a column is not declared as it should be.
    """
    for entry in declared:
        if isinstance(entry, str) and entry not in SHARED:
            raise ValueError(f"no shared column {entry!r}; there are {', '.join(SHARED)}")
        for name, kind, unit, meaning, *rest in (
            SHARED[entry] if isinstance(entry, str) else [entry]
        ):
            if kind not in TYPES or rest not in ([], ["optional"]):
                raise ValueError(
                    f"column {name!r} should be (name, type, unit, meaning), if need be with "
                    f"'optional'; its type one of {', '.join(TYPES)}"
                )
            yield Column(name, kind, unit, meaning, bool(rest))


def written(folder: str, name: str) -> dict[str, Schema]:
    """Schemas of all files that a module writes among the tables, in their order.

    Raises:
        ValueError: naming a table that is not declared as it should be.
    """
    declared = registry.declarations(folder, name)
    found = {}
    files: Mapping[str, Any] = declared.get("TABLES", {}) | declared.get("FILES", {})
    for file, own in files.items():
        try:
            described = tuple(columns(own.get("columns", ())))
        except ValueError as error:
            raise ValueError(f"{folder}/{name}.py, {file}: {error}") from error
        found[file] = Schema(file, own["about"], own["row"], described, f"{folder}/{name}")
    return found


def schemas() -> dict[str, Schema]:
    """Schemas of everything that is written among the tables, and of what they are made from."""
    writers = [
        *(("measures", name) for name in registry.members("measures")),
        ("claims", "judge"),
        ("training", "train"),
    ]
    return {file: schema for writer in writers for file, schema in written(*writer).items()}


def layout(folder: str, name: str) -> dict[str, list[list[str]]]:
    """What of its tables' schemas the bytes of its files follow from: names and types, in order."""
    return {
        file: [[column.name, column.type] for column in schema.columns]
        for file, schema in written(folder, name).items()
    }
