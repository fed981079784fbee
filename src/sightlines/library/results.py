"""A run's results for a notebook: tables, verdicts, networks and images, read and never written."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from sightlines.core.devices import Compute
from sightlines.core.errors import ResultError
from sightlines.core.files import TensorReader, read_table, sha256
from sightlines.datasets.reading import open_dataset
from sightlines.datasets.store import open_splits
from sightlines.library.images import Images
from sightlines.library.networks import Network, load
from sightlines.library.similarity import Grams


@dataclass(frozen=True)
class Results:
    """What an experiment has left in `results/<experiment>`.

    Attributes:
        path: That folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self.path.resolve().name

    @property
    def tables(self) -> list[str]:
        """File names of the tables that are here."""
        folder = self.path / "tables"
        return sorted(p.name for p in folder.glob("*") if p.suffix in (".csv", ".parquet"))

    def table(self, name: str) -> pd.DataFrame:
        """A table, by its file name with or without the ending (docs/tables.md).

        Raises:
            ResultError: there is none of that name, or it is damaged.
        """
        found = [each for each in self.tables if name in (each, Path(each).stem)]
        if not found:
            raise ResultError(f"{self.path} has no table {name!r}; it has {', '.join(self.tables)}")
        table: pd.DataFrame = read_table(self.path / "tables" / found[0])
        return table

    @functools.cached_property
    def verdicts(self) -> pd.DataFrame:
        """The verdict on every claim: `table("claims")`, by the claim's number."""
        return self.table("claims").set_index("claim")

    @property
    def networks(self) -> list[str]:
        """Networks whose weights are here, such as ``vit_small/f100/s0``."""
        folder = self.path / "models"
        found = folder.glob("*/*/*/weights.safetensors")
        return sorted(p.parent.relative_to(folder).as_posix() for p in found)

    def network(self, name: str) -> Network:
        """A network, ready to be looked into.

        Raises:
            ResultError: there is none of that name.
            WeightsError: its weights are damaged.
        """
        if name not in self.networks:
            raise ResultError(
                f"{self.path} has no weights of {name!r}; it has {', '.join(self.networks)}. "
                "`make pull` fetches shared ones"
            )
        return load(self.path / "models" / name)

    def grams(self, name: str) -> Grams:
        """Gram matrices of a network's layers, as the run has recorded them.

        Raises:
            ResultError: the dump is not here, or damaged.
        """
        return Grams.open(self.path / "dumps" / "gram" / f"{name}.safetensors")

    def images(self, data_root: str | os.PathLike[str] | None = None) -> Images:
        """The reference images that the run compares networks on, in its minibatches.

        Args:
            data_root: Where photographs lie, as the config has it; by default the folder that
                SIGHTLINES_DATA names, else `sources`.

        Raises:
            ResultError: the prepared dataset is not here.
        """
        root = Path(
            os.environ.get("SIGHTLINES_DATA", "sources") if data_root is None else data_root
        )
        variant = _variant(self.path)
        reference = open_splits(self.path / "data" / "reference.safetensors", variant)
        compute = Compute(torch.device("cpu"), torch.float32, torch.get_num_threads(), 0)
        return Images(self.name, open_dataset(variant, root, compute), reference)

    def __repr__(self) -> str:
        """Its name, tables and networks."""
        return f"Results({self.name!r}: {len(self.tables)} tables, {len(self.networks)} networks)"


def open_results(path: str | os.PathLike[str]) -> Results:
    """The results of an experiment, by their folder, such as ``results/default``.

    Example:
        >>> run = sl.open_results("results/default")         # doctest: +SKIP
        >>> run.verdicts.loc["C3", "verdict"]                # doctest: +SKIP
        'holds at initialisation'

    Raises:
        ResultError: it is no folder with tables or networks of an experiment.
    """
    folder = Path(path)
    if not (folder / "tables").is_dir() and not (folder / "models").is_dir():
        raise ResultError(
            f"{folder} holds no results: name the folder of one experiment, such as results/default"
        )
    return Results(folder)


def _variant(folder: Path) -> Path:
    """The description of the dataset that an experiment's splits are of."""
    reference = TensorReader(folder / "data" / "reference.safetensors")
    wanted = reference.meta["dataset_sha256"]
    for path in sorted((folder.resolve().parents[1] / "data").glob("*/dataset.json")):
        if sha256(path) == wanted:
            return path
    raise ResultError(
        f"the images of {folder} are not prepared here (SHA-256 of their description: "
        f"{wanted[:12]}…): run snakemake, or pull the data"
    )
