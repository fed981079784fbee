"""Reads photographs out of shards, where `datasets.shards` and its kinds have found them.

Part of the digest of every stage that shows images: what only finds them is elsewhere. A reader may
be used by several threads, and by processes after a fork.
"""

import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightlines.core.errors import DataError, UnreadableError

BLOCK = 512
"""Bytes of which a tar archive is made."""
SIZES = 2**33
"""More than a member of one may have."""
ROWS = 2**32
"""More than a row group of a Parquet file may have."""
KEPT_BYTES = 64 * 2**20
"""Encoded images that a process keeps of the row groups that it read last."""

_lock = threading.Lock()
"""LMDB's library opens a database once in a process; `prepare` alone reads in several threads."""


class Reader(ABC):
    """Gives the photographs of a manifest."""

    @abstractmethod
    def read(self, index: int) -> bytes:
        """Bytes of the photograph in that row.

        Raises:
            OSError: its shard cannot be read.
            UnreadableError: its shard is damaged there.
        """


def open_shards(kind: str, root: Path, table: Any, facts: Mapping[str, Any]) -> Reader:
    """A reader of the photographs of a table.

    Args:
        kind: Of the dataset.
        root: The folder of the shards.
        table: Has the columns path, shard and place.
        facts: What `dataset.json` says, or the dataset's settings.
    """
    shards, places = table["shard"].tolist(), table["place"].tolist()
    if kind == "webdataset":
        return TarReader(root, shards, places)
    if kind == "parquet":
        return ParquetReader(root, facts["image_column"], shards, places)
    paths = table["path"].tolist()
    keys = [path[len(shard) + 1 :] for path, shard in zip(paths, shards, strict=True)]
    return LmdbReader(root, shards, keys)


@dataclass(frozen=True)
class TarReader(Reader):
    """Reads photographs at their offsets in archives: it keeps no file open.

    Attributes:
        root: The folder of the archives.
        shards: Archive of each photograph.
        places: The block at which it begins times SIZES, and its bytes.
    """

    root: Path
    shards: Sequence[str]
    places: Sequence[int]

    def read(self, index: int) -> bytes:
        """See `Reader`."""
        block, size = divmod(self.places[index], SIZES)
        with (self.root / self.shards[index]).open("rb") as archive:
            archive.seek(block * BLOCK)
            content = archive.read(size)
        if len(content) != size:
            raise UnreadableError("its archive is cut off within it")
        return content


@dataclass
class ParquetReader(Reader):
    """Reads photographs row group by row group, and keeps the last ones.

    Attributes:
        root: The folder of the files.
        column: Of the images.
        shards: File of each photograph.
        places: Its row group and row.
    """

    root: Path
    column: str
    shards: Sequence[str]
    places: Sequence[int]
    _kept: OrderedDict[tuple[str, int], tuple[list[bytes | None], int]] = field(
        default_factory=OrderedDict
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _process: int = field(default_factory=os.getpid)

    def read(self, index: int) -> bytes:
        """See `Reader`."""
        import pyarrow

        group, row = divmod(self.places[index], ROWS)
        if self._process != os.getpid():  # the fork may have found the lock held
            self._lock, self._process = threading.Lock(), os.getpid()
        try:
            with self._lock:
                content = self._group(self.shards[index], group)[row]
        except (pyarrow.ArrowException, IndexError, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # of the system, not of the format
                raise
            why = str(error).splitlines()[0]
            raise UnreadableError(f"its row group {group} is damaged ({why})") from error
        if content is None:
            raise UnreadableError("its row has no bytes")
        return content

    def _group(self, shard: str, group: int) -> list[bytes | None]:
        """The encoded images of a row group."""
        from pyarrow import parquet

        if (shard, group) in self._kept:
            self._kept.move_to_end((shard, group))
            return self._kept[shard, group][0]
        with parquet.ParquetFile(self.root / shard, memory_map=False) as file:
            table = file.read_row_group(group, columns=[self.column], use_threads=False)
        column = table.column(self.column).combine_chunks()
        images = bytes_of(column).to_pylist()
        self._kept[shard, group] = images, column.nbytes
        while len(self._kept) > 1 and sum(n for _, n in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        return images  # type: ignore[no-any-return]


def bytes_of(column: Any) -> Any:
    """The column of encoded images: of bytes, or the field bytes of a struct."""
    import pyarrow

    return column.field("bytes") if pyarrow.types.is_struct(column.type) else column


@dataclass(frozen=True)
class LmdbReader(Reader):
    """Reads photographs by their keys.

    Attributes:
        root: The folder of the databases.
        shards: Database of each photograph.
        keys: Its key.
    """

    root: Path
    shards: Sequence[str]
    keys: Sequence[str]

    def read(self, index: int) -> bytes:
        """See `Reader`."""
        lmdb = lmdb_library()
        try:
            with (
                opened_lmdb(self.root / self.shards[index]) as database,
                database.begin() as reading,
            ):
                content = reading.get(self.keys[index].encode())
        except (lmdb.Error, ValueError) as error:
            raise UnreadableError(f"its database is damaged ({error})") from error
        if content is None:
            raise UnreadableError("its key is gone from the database")
        return bytes(content)


@contextlib.contextmanager
def opened_lmdb(path: Path) -> Iterator[Any]:
    """A database, opened for one reading.

    It takes 50 microseconds, a tenth of the least that a photograph takes to decode. Kept open it
    could not be opened by a process that is forked meanwhile: the library forbids it.

    Raises:
        DataError: the library is missing.
        lmdb.Error: no database, or a damaged one.
        ValueError: it is shorter than it says.
    """
    lmdb = lmdb_library()
    options = {"subdir": False, "readonly": True, "lock": False, "readahead": False}
    with _lock, lmdb.open(str(path), **options) as database:
        told = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
        if (size := path.stat().st_size) < told:  # pages that are not there kill the process
            raise ValueError(f"{size:,} of {told:,} bytes")
        yield database


def lmdb_library() -> Any:
    """The library, an extra.

    Raises:
        DataError: it is missing.
    """
    try:
        import lmdb
    except ImportError as error:
        raise DataError(
            "dataset.kind lmdb needs the library lmdb: uv pip install 'lmdb==3.0.0' into .venv"
        ) from error
    return lmdb
