"""Temporary folders that last as long as what reads them."""

import shutil
import tempfile
import weakref
from pathlib import Path


class Scratch:
    """A temporary folder, removed when nothing refers to it any more, or when Python ends.

    Attributes:
        path: The folder.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sightlines-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
