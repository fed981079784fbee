"""Similarity of layers for a notebook: Gram matrices once, then CKA of any two networks."""

import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sightlines.core.errors import ResultError
from sightlines.core.files import write_table
from sightlines.dumps.reading import GramDump
from sightlines.library import recording
from sightlines.library.arguments import IMAGES, NETWORK, require
from sightlines.library.images import Images
from sightlines.library.networks import Network
from sightlines.measures import cka as measure


@dataclass(frozen=True)
class Grams:
    """Gram matrices of every layer of one network, minibatch by minibatch.

    Attributes:
        dump: The file that holds them.
    """

    dump: GramDump

    @property
    def layer_table(self) -> pd.DataFrame:
        """One row a layer: index, name, kind, block, depth, features."""
        return pd.DataFrame(self.dump.layers)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Keep them as a safetensors file, which `Grams.open` reads."""
        shutil.copyfile(self.dump.path, path)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Grams":
        """Grams that were saved, or the Gram dump of a run.

        Raises:
            ResultError: the file is missing, damaged or holds something else.
        """
        return cls(GramDump(Path(path)))

    def __repr__(self) -> str:
        """Whose they are, of how many layers and images."""
        images = sum(self.dump.batch_sizes)
        return f"Grams({self.dump.network.slug}: {len(self.dump.layers)} layers, {images} images)"


@dataclass(frozen=True)
class Similarity:
    """Linear CKA of every layer of one network with every layer of another.

    Attributes:
        values: Unbiased linear CKA [layers of a, layers of b]; NaN for a layer that does not vary.
        standard_errors: Jackknife standard errors over minibatches, of the same shape; NaN with
            one minibatch.
        layers_a: The layers that are the rows: index, name, kind, block, depth, features.
        layers_b: The layers that are the columns.
        networks: Names of both networks.
    """

    values: np.ndarray
    standard_errors: np.ndarray
    layers_a: pd.DataFrame
    layers_b: pd.DataFrame
    networks: tuple[str, str]

    def to_pandas(self) -> pd.DataFrame:
        """One row a pair of layers: network, layer and name of a and of b, cka, cka_se."""
        rows, columns = np.indices(self.values.shape)
        return pd.DataFrame(
            {
                "network_a": self.networks[0],
                "layer_a": rows.ravel(),
                "name_a": self.layers_a["name"].to_numpy()[rows.ravel()],
                "network_b": self.networks[1],
                "layer_b": columns.ravel(),
                "name_b": self.layers_b["name"].to_numpy()[columns.ravel()],
                "cka": self.values.ravel(),
                "cka_se": self.standard_errors.ravel(),
            }
        )

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write `to_pandas()` as Parquet."""
        write_table(Path(path), self.to_pandas())

    def __repr__(self) -> str:
        """Its networks and its shape."""
        one, other = self.networks
        return f"Similarity({one} × {other}: {' × '.join(map(str, self.values.shape))} layers)"


def grams(network: Network, images: Images) -> Grams:
    """Gram matrices of every layer of a network for some images.

    Each minibatch of n images runs through the network once, and of each layer n(n+1)/2 numbers
    are kept, whatever its width. Any number of networks can then be compared.

    Args:
        network: From `load`.
        images: From `images`.

    Example:
        >>> sl.grams(vit, images)
        Grams(vit/f000/s0: 39 layers, 64 images)

    Raises:
        ConfigError: an argument is something else.
        ResultError: a layer's activations are not finite.
    """
    require(network, Network, "grams: network", NETWORK)
    require(images, Images, "grams: images", IMAGES)
    return Grams(recording.record("gram", recording.shown(network, images)))


def cka(a: Grams, b: Grams | None = None, *, seed: int = 0) -> Similarity:
    """Linear CKA between all layers of two networks, or of one with itself.

    The unbiased minibatch estimator of Nguyen et al. 2021, as in Raghu et al. 2021, appendix A:
    HSIC is added up over minibatches, then divided. 1: equal up to rotation and scale; 0, on
    average, for unrelated layers.

    Args:
        a: Grams of the network whose layers are the rows.
        b: Grams of the other, of the same images; by default those of `a`.
        seed: Of shuffled images, a control that is not part of what is returned.

    Example:
        >>> similarity = sl.cka(sl.grams(vit, images), sl.grams(cnn, images))
        >>> similarity.values.shape == similarity.standard_errors.shape
        True
        >>> similarity.to_pandas().columns[-2:].tolist()
        ['cka', 'cka_se']

    Raises:
        ResultError: the two are of other images.
        ConfigError: `a` or `b` is something else, or a minibatch has fewer than four images.
    """
    other = a if b is None else b
    for name, value in (("a", a), ("b", other)):
        require(value, Grams, f"cka: {name}", "Grams, from `sl.grams(network, images)`")
    dumps = [a.dump] if b is None else [a.dump, b.dump]
    first, second = ((d.reference_sha256, d.batch_sizes) for d in (a.dump, other.dump))
    if first != second:
        raise ResultError(
            f"{a!r} and {other!r} are of different images or minibatches, and cannot be compared: "
            "make both with what one call of `images` gave"
        )
    sums = measure.add_hsic(dumps, seed)
    *_, table = itertools.islice(measure.pair_tables(dumps, sums), len(dumps))
    shape = (len(a.dump.layers), len(other.dump.layers))
    values, errors = (table[name].to_numpy().reshape(shape) for name in ("cka", "cka_se"))
    names = (a.dump.network.slug, other.dump.network.slug)
    return Similarity(values, errors, a.layer_table, other.layer_table, names)
