"""Tables and tensors of an experiment by their file names, read when first asked for."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sightlines.core.files import TensorReader
from sightlines.results.tables import read_checked


class Opened(Mapping[str, Any]):
    """What some files hold: data frames, checked for their columns, and readers of tensors.

    Raises:
        KeyError: asked for a name that is not among the files.
        ResultError: a file is missing or damaged, or lacks columns.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        """Of these files; none is touched yet."""
        self._paths = {path.name: path for path in paths}
        self._read: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The table, or the reader, of the file of that name."""
        if name not in self._read:
            path = self._paths[name]
            is_table = path.suffix != ".safetensors"
            self._read[name] = read_checked(path, name) if is_table else TensorReader(path)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the files."""
        return iter(self._paths)

    def __len__(self) -> int:
        """Number of files."""
        return len(self._paths)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a file; it is not read."""
        return name in self._paths
