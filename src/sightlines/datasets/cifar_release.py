"""An official archive of CIFAR, and what is in it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """One official archive and how to read it.

    Attributes:
        url: Address of the archive.
        md5: Checksum of the archive.
        folder: Folder that it unpacks to.
        members: Files to read below `folder`, with their MD5 checksums.
        train: Members with training images, in order.
        test: Members with test images.
        meta: Member with the class names.
    """

    url: str
    md5: str
    folder: str
    members: Mapping[str, str]
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str

    @property
    def archive(self) -> str:
        """File name of the archive."""
        return self.url.rpartition("/")[2]
