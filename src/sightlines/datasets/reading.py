"""Hands a prepared dataset's images to a network, in the order asked for.

Arrays lie on the device as uint8 from the first batch on; photographs are decoded by worker
processes ahead of their use, each verified against the hash of its manifest.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from sightlines.core.devices import Compute
from sightlines.core.errors import ConfigError, DataError, ResultError, UnreadableError
from sightlines.core.files import read_npy
from sightlines.datasets.photographs import decode, quiet_pillow
from sightlines.datasets.shard_reading import Reader, open_shards
from sightlines.datasets.store import checked_file, read_dataset, read_labels, read_manifest
from sightlines.datasets.views import View
from sightlines.datasets.white_levels import white_levels

PREFETCH = 2


@dataclass
class ImageSet:
    """A prepared dataset.

    Attributes:
        path: Its dataset.json.
        facts: The content of dataset.json.
        source: Where photographs lie.
        compute: Device, and number of decoding processes.
    """

    path: Path
    facts: dict[str, Any]
    source: Path
    compute: Compute
    _resident: dict[str, Tensor] = field(default_factory=dict)
    _labels: dict[str, np.ndarray] = field(default_factory=dict)
    _photographs: dict[str, tuple[list[str], list[str], Reader | None]] = field(
        default_factory=dict
    )

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the labels."""
        return self.facts["classes"]  # type: ignore[no-any-return]

    @property
    def size_px(self) -> int:
        """Width and height of the images."""
        return self.facts["size_px"]  # type: ignore[no-any-return]

    @property
    def mean(self) -> list[float]:
        """Mean of each channel, of [0, 1] pixels."""
        return self.facts["mean"]  # type: ignore[no-any-return]

    @property
    def std(self) -> list[float]:
        """Standard deviation of each channel, of [0, 1] pixels."""
        return self.facts["std"]  # type: ignore[no-any-return]

    def labels(self, split: str) -> Int64[np.ndarray, " images"]:
        """Class of every image of a split, ``train`` or ``test``."""
        if split not in self._labels:
            self._labels[split] = read_labels(self.path, self.facts, split)
        return self._labels[split]

    def batches(
        self,
        split: str,
        index_batches: Iterable[np.ndarray],
        margin_px: int = 0,
        view: View | None = None,
    ) -> Iterator[UInt8[Tensor, "images 3 height width"]]:
        """Images on the device, one tensor for each array of indices, in order.

        Args:
            split: ``train`` or ``test``.
            index_batches: Indices into the split; may be endless.
            margin_px: Photographs come this much larger in width and height, for random
                crops; arrays have no more to give and ignore it.
            view: How a network sees them; the dataset's own size by default.

        Raises:
            DataError: a photograph is missing, was edited or cannot be read.
            ResultError: the prepared files are damaged.
        """
        if self.facts["storage"] == "arrays":
            images = self._select(split, index_batches)
            return (
                images if view in (None, View(self.size_px)) else map(partial(scale, view), images)
            )
        return self._decode(split, index_batches, view or View(self.size_px + margin_px))

    def _select(self, split: str, index_batches: Iterable[np.ndarray]) -> Iterator[Tensor]:
        images = self._load(split)
        for indices in index_batches:
            yield images.index_select(0, torch.from_numpy(np.array(indices)).to(images.device))

    def _load(self, split: str) -> Tensor:
        """All images of a split on the device, uint8 [images, 3, h, w]; read once."""
        if split not in self._resident:
            path = checked_file(self.path, self.facts, f"{split}_images.npy")
            pixels = read_npy(path)
            expected = (self.facts["counts"][split], self.size_px, self.size_px, 3)
            if pixels.shape != expected or pixels.dtype != np.uint8:
                raise ResultError(
                    f"{path} holds {pixels.dtype} {pixels.shape} instead of uint8 {expected}. "
                    "Delete the folder and run snakemake again."
                )
            channels_first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
            self._resident[split] = torch.from_numpy(channels_first).to(self.compute.device)
        return self._resident[split]

    def _decode(
        self, split: str, index_batches: Iterable[np.ndarray], view: View
    ) -> Iterator[Tensor]:
        files = self._open(split, view)
        return self._placed(_decode_ahead(files, index_batches, self.compute.workers))

    def _open(self, split: str, view: View) -> "_Photographs":
        """A split's photographs, in a folder of files or in shards."""
        root = self.source / self.facts["folder"]
        if split not in self._photographs:
            table = read_manifest(self.path, self.facts, split)
            shards: Reader | None = None
            if self.facts["storage"] == "shards":
                shards = open_shards(self.facts["kind"], root, table, self.facts)
            self._photographs[split] = (table["path"].tolist(), table["sha256"].tolist(), shards)
        paths, hashes, shards = self._photographs[split]
        return _Photographs(root, paths, hashes, view, white_levels(self.facts), shards)

    def _placed(self, batches: Iterator[np.ndarray | str]) -> Iterator[Tensor]:
        """Batches on the device; an error that came in the place of one is raised."""
        for pixels in batches:
            if isinstance(pixels, str):
                raise DataError(pixels)
            yield torch.from_numpy(pixels).to(self.compute.device)


def open_dataset(dataset_json: Path, source: Path, compute: Compute) -> ImageSet:
    """Open a prepared dataset.

    Args:
        dataset_json: Its description.
        source: Where photographs lie (data_root or SIGHTLINES_DATA).
        compute: Device, and number of decoding processes.

    Raises:
        ResultError: the description is missing or damaged.
    """
    return ImageSet(Path(dataset_json), read_dataset(dataset_json), Path(source), compute)


def scale(
    view: View, images: UInt8[Tensor, "images 3 rows columns"]
) -> UInt8[Tensor, "images 3 height width"]:
    """What a network sees of square images that lie in memory (torch's scaling, antialiased).

    Raises:
        ConfigError: torch cannot scale so.
    """
    if view.interpolation == "lanczos":
        raise ConfigError("arrays cannot be scaled by lanczos: set interpolation to bicubic")
    left, top, right, lower = (round(edge) for edge in view.box(*images.shape[2:]))
    whole = images[..., max(top, 0) : lower, max(left, 0) : right].float()
    smooth = {"antialias": True} if view.interpolation != "nearest" else {}
    size = (view.size_px, view.size_px)
    scaled = functional.interpolate(whole, size, mode=view.interpolation, **smooth)
    return scaled.round().clamp(0, 255).to(torch.uint8)


def normalise(
    images: UInt8[Tensor, "images 3 height width"], mean: Sequence[float], std: Sequence[float]
) -> Float32[Tensor, "images 3 height width"]:
    """Bytes to what networks see: (x / 255 - mean) / std in each channel."""
    shape = (1, 3, 1, 1)
    centre = torch.tensor(mean, dtype=torch.float32, device=images.device).view(shape)
    scale = torch.tensor(std, dtype=torch.float32, device=images.device).view(shape)
    return (images.to(torch.float32) / 255 - centre) / scale


@dataclass(frozen=True)
class _Photographs(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Decodes a batch of photographs; an error comes back as its text, to stay readable.

    Attributes:
        root: Their folder.
        paths: Of each below it; of one in a shard the shard's, and its name there.
        hashes: SHA-256 of each.
        view: How the network sees them.
        white_levels: Of those of more than 8 bits.
        shards: Reads one out of its shard; None: they are files.
    """

    root: Path
    paths: list[str]
    hashes: list[str]
    view: View
    white_levels: Mapping[int, int]
    shards: Reader | None = None

    def __getitem__(self, indices: np.ndarray) -> np.ndarray | str:
        side = self.view.size_px
        batch = np.empty((len(indices), 3, side, side), np.uint8)
        try:
            with quiet_pillow():
                for row, index in zip(batch, indices, strict=True):
                    row[...] = self._decode(int(index)).transpose(2, 0, 1)
        except DataError as error:
            return str(error)
        return batch

    def _decode(self, index: int) -> np.ndarray:
        path = self.root / self.paths[index]
        try:
            content = path.read_bytes() if self.shards is None else self.shards.read(index)
        except (OSError, UnreadableError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise DataError(
                f"cannot read the photograph {path}: {why}. "
                "Put it back, or run snakemake again to list the folder anew."
            ) from error
        if hashlib.sha256(content).hexdigest() != self.hashes[index]:
            raise DataError(
                f"the photograph {path} was edited since the dataset was prepared: "
                "run snakemake again"
            )
        try:
            return decode(content, self.view, self.white_levels)
        except UnreadableError as error:
            raise DataError(
                f"cannot decode the photograph {path}: {error}. Fix or remove it, then run "
                "snakemake again."
            ) from error


def _decode_ahead(
    files: _Photographs, index_batches: Iterable[np.ndarray], workers: int
) -> Iterator[np.ndarray | str]:
    """Batches in order; `workers` processes keep PREFETCH batches each ready."""
    loader = torch.utils.data.DataLoader(
        files,
        batch_size=None,
        sampler=index_batches,
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        multiprocessing_context="fork" if workers else None,
        collate_fn=_as_is,
        generator=torch.Generator().manual_seed(0),  # keeps the global generator untouched
    )
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            f"a process that decodes photographs died ({str(error).splitlines()[0]}): "
            "it ran out of memory or was killed. Lower compute.workers."
        ) from error


def _as_is(batch: Any) -> Any:
    """Keep NumPy arrays: tensors would travel through /dev/shm, which containers keep small."""
    return batch
