"""What claims are judged by: the tables, and the networks by the part they play."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from sightlines.core.files import TensorReader
from sightlines.measures.similarity_indices import BIASED
from sightlines.plan import roles
from sightlines.plan.networks import FULL, Network
from sightlines.results.selecting import (
    best_accuracy,
    label,
    needed_accuracy,
    networks,
    rows_of,
    without_labels,
)
from sightlines.stats.half_samples import PAIRS

T = TypeVar("T")
AT_SCALE = 10_000_000
"""Training images from which on large ViTs overtake ResNets: more than the 1.3 million of ImageNet,
which are not enough, fewer than ImageNet-21k's 14 million (Dosovitskiy et al. 2021, Figures 3, 4).
"""


def unbiased(rows: pd.DataFrame) -> "pd.Series[float]":
    """Values of indices of similarity; biased ones against s, their value for shuffled images.

    (v - s) / (1 - s) is 0 for unrelated layers, of however many features, and 1 for equal ones.

    Args:
        rows: With the columns `index`, `value` and `shuffled`.
    """
    value, floor = rows["value"], rows["shuffled"].where(rows["index"].isin(BIASED), 0.0)
    return (value - floor) / (1 - floor)


class NotMeasured(Exception):
    """What a claim needs is not among the results: its message says what to add to the config."""


class Evidence:
    """Tables of one experiment, and its networks by role.

    Attributes:
        config: `networks`, `labels`, `families`, `architectures`, `tasks`, `figures`.
        networks: All networks of the runs, in the config's order.
        spread: What is known of the spread between seeds from elsewhere: a
            `seed_spread.SeedSpread`; None: nothing.
    """

    def __init__(
        self, config: dict[str, Any], tables: Mapping[str, Any], spread: Any = None
    ) -> None:
        """Judge by these tables and readers of tensors, by file name (see `results.opening`)."""
        self.config = config
        self.spread = spread
        self.networks = networks(config)
        self._tables = tables
        self._kept: dict[tuple[Any, ...], Any] = {}  # most are asked for by several criteria

    # -- tables --------------------------------------------------------------------------

    def once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """What `make` gives, which is called once for a key; nobody may write into it."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def _frame(self, key: tuple[Any, ...], make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The same of a frame, into which whoever is given it may write."""
        return self.once(key, make).copy(deep=False)  # pandas copies what is written to

    def _rows_of(self, name: str, network: Network) -> pd.DataFrame:
        table = self.table(name)
        columns = ["model", "fraction", "seed"]
        places = self.once(("places", name), lambda: table.groupby(columns, sort=False).indices)
        return table.iloc[places.get(tuple(network), [])]

    def table(self, name: str) -> pd.DataFrame:
        """A table by its file name.

        Raises:
            NotMeasured: the experiment has none of that name.
        """
        table: pd.DataFrame = self._named(name)
        return table

    def _named(self, name: str) -> Any:
        if name not in self._tables:
            raise NotMeasured(
                f"{name} was not measured: the config leaves it out (figures, splits, conditions), "
                "or the images have no masks"
            )
        return self._tables[name]

    def rows(self, name: str, network: Network, **values: Any) -> pd.DataFrame:
        """One network's rows of a table in which the columns have these values.

        Raises:
            NotMeasured: there are none.
        """
        key = ("rows", name, network, *values.items())
        return self._frame(key, lambda: self._select(name, network, values))

    def _select(self, name: str, network: Network, values: dict[str, Any]) -> pd.DataFrame:
        found = self.once(("all", name, network), lambda: self._rows_of(name, network))
        for column, value in values.items():
            found = found[found[column] == value]
        if found.empty:
            which = ", ".join(f"{k} {v}" for k, v in values.items())
            raise NotMeasured(f"{name} has nothing for {network.slug}{which and f' ({which})'}")
        return found

    def replicates(
        self, name: str, network: Network, column: str, by: list[str], **values: Any
    ) -> pd.DataFrame:
        """A column of a table as [left_out, …]: row -1 (all images) first, then 0, 1, ….

        Args:
            name: The table.
            network: Whose rows.
            column: The statistic.
            by: Columns that tell its rows apart, which become the frame's columns, sorted.
            values: What other columns must hold.
        """
        key = ("replicates", name, network, column, *by, *values.items())
        return self._frame(
            key,
            lambda: _table(self.rows(name, network, **values), "left_out", by, column).sort_index(),
        )

    def halves(
        self, name: str, network: Network, column: str, by: list[str], **values: Any
    ) -> pd.DataFrame:
        """A column of a table as [half, …], in the order of `stats.half_samples.HALVES`.

        Args:
            name: The table, with `pair` and `half`.
            network: Whose rows.
            column: The statistic; NaN of a half that the table lacks.
            by: Columns that tell its rows apart, which become the frame's columns, sorted.
            values: What other columns must hold.
        """
        key = ("halves", name, network, column, *by, *values.items())
        return self._frame(key, lambda: _halves(self.rows(name, network, **values), by, column))

    def cka(self, a: Network, b: Network) -> np.ndarray:
        """Linear CKA with its jackknife replicates [1 + groups, layers of a, layers of b].

        Raises:
            NotMeasured: the two are not among the judged pairs.
        """
        reader: TensorReader = self._named("cka_replicates.safetensors")
        if (pair := f"{a.slug}|{b.slug}") in reader:
            return np.asarray(reader[pair], np.float64)
        if (pair := f"{b.slug}|{a.slug}") in reader:
            return np.asarray(reader[pair], np.float64).transpose(0, 2, 1)
        raise NotMeasured(f"there is no CKA of {a.slug} with {b.slug}")

    def token_cka(self, tokens: str, a: Network, b: Network) -> np.ndarray:
        """The same of a ViT's class token alone, or of its spatial tokens alone.

        Args:
            tokens: ``cls`` or ``spatial``.
            a: The ViT.
            b: The ViT again, for the same tokens, or a ResNet.

        Raises:
            NotMeasured: they were not compared.
        """
        reader: TensorReader = self._named("token_cka_replicates.safetensors")
        if (name := f"{tokens}|{a.slug}|{b.slug}") in reader:
            return np.asarray(reader[name], np.float64)
        raise NotMeasured(f"there is no CKA of the {tokens} tokens of {a.slug} with {b.slug}")

    def similarity_by(self, index: str, a: Network, b: Network) -> np.ndarray:
        """Another index of similarity between block outputs [blocks of a, blocks of b].

        Raises:
            NotMeasured: it was not computed for this pair.
        """
        key = ("similarity_by", index, a, b)
        return self.once(key, lambda: self._similarity_by(index, a, b))

    def _similarity_by(self, index: str, a: Network, b: Network) -> np.ndarray:
        table = self.table("similarity_indices.parquet")
        table = table[table["index"] == index]
        for one, other, flip in ((a, b, False), (b, a, True)):
            pair = rows_of(rows_of(table, one, "_a"), other, "_b")
            if not pair.empty:
                pair = pair.assign(value=unbiased(pair))
                matrix = pair.pivot(index="layer_a", columns="layer_b", values="value").to_numpy()
                return matrix.T if flip else matrix
        raise NotMeasured(f"no {index} similarity of {a.slug} with {b.slug}")

    def index_cka(self, index: str, a: Network, b: Network) -> np.ndarray:
        """The same with its jackknife replicates [1 + groups, blocks of a, blocks of b].

        Raises:
            NotMeasured: it was not computed for this pair.
        """
        reader: TensorReader = self._named("index_replicates.safetensors")
        if (name := f"{index}|{a.slug}|{b.slug}") in reader:
            return np.asarray(reader[name], np.float64)
        if (name := f"{index}|{b.slug}|{a.slug}") in reader:
            return np.asarray(reader[name], np.float64).transpose(0, 2, 1)
        raise NotMeasured(f"no {index} similarity of {a.slug} with {b.slug}")

    def index_branches(self, index: str, network: Network) -> np.ndarray:
        """Of each block's output with the next block's attention [1 + groups, blocks − 1].

        Raises:
            NotMeasured: it was not computed.
        """
        reader: TensorReader = self._named("index_replicates.safetensors")
        if (name := f"{index}|{network.slug}|branches") in reader:
            return np.asarray(reader[name], np.float64)
        raise NotMeasured(f"no {index} similarity of {network.slug} with its branches")

    def minibatches(self) -> list[int]:
        """Images of a minibatch in which CKA was estimated: the reference one's, then smaller."""
        reader: TensorReader = self._named("smaller_minibatches.safetensors")
        smaller = {int(name.partition("|")[0]) for name in reader.names()}
        return [int(reader.meta["images"]), *sorted(smaller, reverse=True)]

    def smaller_cka(self, images: int, a: Network, b: Network) -> np.ndarray:
        """Linear CKA within minibatches of so many images [1 + groups, layers of a, layers of b].

        Raises:
            NotMeasured: it was not computed for this pair.
        """
        reader: TensorReader = self._named("smaller_minibatches.safetensors")
        if (name := f"{images}|{a.slug}|{b.slug}") in reader:
            return np.asarray(reader[name], np.float64)
        if (name := f"{images}|{b.slug}|{a.slug}") in reader:
            return np.asarray(reader[name], np.float64).transpose(0, 2, 1)
        raise NotMeasured(f"no CKA of {a.slug} with {b.slug} within {images} images")

    def layers(self, model: str) -> pd.DataFrame:
        """A model's rows of layers.csv, in order."""
        table = self.table("layers.csv")
        return self._frame(
            ("layers", model),
            lambda: table[table["model"] == model].sort_values("layer", ignore_index=True),
        )

    def blocks(self, model: str) -> np.ndarray:
        """Numbers of the layers that are block outputs."""
        own = self.layers(model)
        return self.once(
            ("blocks", model), lambda: own.loc[own["kind"] == "residual", "layer"].to_numpy()
        )

    # -- networks ------------------------------------------------------------------------

    def models(self, family: str = "", pool: str = "") -> list[str]:
        """Models with a network on f100, of that family and pool, without skipless variants.

        Raises:
            NotMeasured: there is none.
        """
        found = roles.of_kind(self.networks, self.config["architectures"], family, pool)
        if not found:
            what = " ".join(part for part in (family or "model", pool and f"with pool {pool}"))
            raise NotMeasured(f"needs a {what.strip()} trained on {FULL} among the runs")
        return found

    def vits(self) -> list[str]:
        """Models that are ViTs with a class token."""
        return self.models("vit", "cls")

    def resnets(self) -> list[str]:
        """Models that are ResNets."""
        return self.models("resnet")

    def skipless(self) -> list[tuple[str, str]]:
        """Each ViT without skips in a block, and its twin that has them all.

        Raises:
            NotMeasured: there is none.
        """
        pairs = roles.skipless_pairs(self.networks, self.config["architectures"])
        if not pairs:
            raise NotMeasured(f"needs a ViT with a skipless_block and its intact twin on {FULL}")
        return pairs

    def by_size(self, models: list[str]) -> list[str]:
        """Models from few parameters to many."""
        accuracy = self.table("accuracy.csv")
        size = accuracy.groupby("model")["parameters"].max()
        return sorted(models, key=lambda m: size[m])

    def pooled(self) -> list[tuple[str, str]]:
        """Each ViT with a class token, and each that differs by mean pooling alone.

        Raises:
            NotMeasured: there is none.
        """
        self.models("vit", "gap")  # says so where there is none at all
        self.vits()
        pairs = roles.pooled_pairs(self.networks, self.config["architectures"])
        if not pairs:
            raise NotMeasured("needs a ViT with pool gap and one with pool cls that are alike else")
        return pairs

    def full(self, model: str) -> list[Network]:
        """A model's networks on all images, one a seed."""
        return roles.on(self.networks, model, FULL)

    def same_seed(self, model: str, like: Network) -> Network:
        """A model's network on f100 with the seed of another network, or else its first.

        Raises:
            NotMeasured: there is none.
        """
        found = roles.same_seed(self.networks, model, like)
        if found is None:
            raise NotMeasured(f"needs {model} on {FULL} among the runs")
        return found

    def untrained(self, model: str) -> Network | None:
        """A model's untrained control, if there is one: the one that figures show."""
        return roles.control(self.networks, model)

    def controls(self, model: str) -> list[Network]:
        """All untrained controls of a model, one an initialisation; `untrained` is the first.

        Where its branches start at 0, those with branches on. The further ones saw reference images
        alone: of them there are no accuracies, probes, other indices or data fractions.
        """
        return roles.controls(self.networks, model)

    def fractions(self, model: str) -> list[str]:
        """Fractions below 100 % on which a model is trained, smallest first."""
        return roles.less_data(self.networks, model)

    def on(self, model: str, fraction: str) -> list[Network]:
        """A model's networks on one fraction."""
        return roles.on(self.networks, model, fraction)

    def accuracy(self, network: Network) -> tuple[float, float, int]:
        """Test accuracy, chance, and number of test images."""
        row = self.once(
            ("accuracy", network), lambda: self.rows("accuracy.csv", network).iloc[0].to_dict()
        )
        return float(row["accuracy_test"]), float(row["chance"]), int(row["test_images"])

    def is_small(self, slug: str) -> bool:
        """Whether a network was trained here, on fewer than AT_SCALE images."""
        row = self.rows("accuracy.csv", Network.parse(slug)).iloc[0]
        return bool(0 < row["train_images"] < AT_SCALE)

    def is_public(self, slug: str) -> bool:
        """Whether a network's weights were trained elsewhere."""
        return not self.rows("accuracy.csv", Network.parse(slug)).iloc[0]["train_images"]

    def learned(self, slug: str) -> bool:
        """Whether a network reached what a claim may be judged by (`needed_accuracy`).

        Public weights whose outputs are not the images' classes, and networks that were trained
        without labels, count as having learned: their accuracy cannot be told here.
        """
        network = Network.parse(slug)
        row = self.rows("accuracy.csv", network).iloc[0]
        has_none = not row["train_images"] or without_labels(self.config, network.model)
        is_unknown = has_none and np.isnan(row["accuracy_test"])
        needed = needed_accuracy(row["chance"], best_accuracy(self.table("accuracy.csv")))
        return bool(is_unknown or row["accuracy_test"] >= needed)

    def label(self, model: str) -> str:
        """The model's name for readers."""
        return label(self.config, model)


def _table(rows: pd.DataFrame, index: str, by: list[str], column: str) -> pd.DataFrame:
    """A column as [index, by]: means of the rows of each; of several columns each combination."""
    if len(by) == 1 and not rows.duplicated([index, *by]).any():  # the same in a third of the time
        return rows.pivot(index=index, columns=by[0], values=column)
    return rows.pivot_table(index=index, columns=by, values=column, dropna=False)


def _halves(rows: pd.DataFrame, by: list[str], column: str) -> pd.DataFrame:
    rows = rows.assign(place=2 * rows["pair"] + rows["half"])
    return _table(rows, "place", by, column).reindex(range(2 * PAIRS))
