"""What CIFAR-10 and CIFAR-100 share: photographs of 32 x 32 px from one official archive each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightlines.datasets.cifar_release import Release
from sightlines.datasets.store import name_variant

SIZE_PX = 32
COUNTS = {"train": 50_000, "test": 10_000}


@dataclass(frozen=True)
class Cifar:
    """One of the two.

    Attributes:
        kind: Its name in a config.
        release: Its official archive.
        mean: Of the training images, a channel.
        std: Likewise.
        classes: Setting `labels` (empty where there is none) -> number of classes.
    """

    kind: str
    release: Release
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    classes: Mapping[str, int]

    def variant(self, settings: Mapping[str, Any]) -> str:
        """Folder name below `data/`."""
        return name_variant(self.kind, settings)

    def check(self, settings: Mapping[str, Any]) -> tuple[int, int]:
        """Size in px of an image, and number of classes."""
        return SIZE_PX, self.classes[settings.get("labels", "")]

    def counts(self, _settings: Mapping[str, Any]) -> dict[str, int]:
        """Images of each split, as far as the settings tell."""
        return dict(COUNTS)

    def fingerprint(self, _settings: Mapping[str, Any], _source: Path) -> str:
        """Identity of the source: none, its checksums are fixed."""
        return ""

    def prepare(
        self,
        settings: Mapping[str, Any],
        source: Path,
        out: Path,
        log: Any,
        release: Release | None = None,
    ) -> None:
        """Read, verify and write images, labels and `dataset.json` into `out`.

        Args:
            settings: The dataset's settings.
            source: Folder with the archive or what it unpacks to, or in which a download is put.
            out: The dataset's folder.
            log: Progress.
            release: Another archive of the same form; the official one by default.

        Raises:
            DataError: the archive is missing without a network, damaged or not the official one.
            DiskError: too little room.
        """
        from sightlines.datasets.cifar_archive import write_release

        labels = f"{settings['labels']}_" if "labels" in settings else ""
        keys = (f"{labels}labels", f"{labels}label_names")
        facts = {"kind": self.kind, "mean": list(self.mean), "std": list(self.std)}
        write_release(release or self.release, source, out, keys, facts, log)
