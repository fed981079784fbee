"""Files that are whole or absent: atomic writes, safetensors, tables, hashes.

Every writer here writes to a temporary name in the target's own folder, flushes it
to the disk and renames it, so that no reader ever sees half a file. Nothing here
reads or writes pickle.
"""

import contextlib
import hashlib
import io
import itertools
import json
import math
import os
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from sightlines.core.errors import DiskError, ResultError

_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
MOST_AXES = 32
"""Of an array, in every version of NumPy."""
_CODES = {np.dtype(dtype): code for code, dtype in _DTYPES.items()}


@contextlib.contextmanager
def atomic(path: Path, is_lasting: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file that appears under `path` only when the block ends well.

    Args:
        path: Where it appears.
        is_lasting: Wait until the disk has it. Not for what is soon made again: power that fails
            may then leave an empty file, and waiting takes milliseconds a file.

    Raises:
        DiskError: the folder cannot be written, or the disk is full; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:150]}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as handle:
            yield handle
            handle.flush()
            if is_lasting:
                os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it.

    Raises:
        DiskError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


def why_not_written(path: Path, error: OSError) -> str:
    """The system's reason, or which part of the path is a file where a folder should be."""
    files = [p for p in path.parents if p.exists() and not p.is_dir()]
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{files[-1] if files else path} is a file, not a folder"
    return error.strerror or str(error)


def _cannot_write(path: Path, error: OSError) -> DiskError:
    return DiskError(
        f"cannot write {path}: {why_not_written(path, error)}. "
        "Free some space or fix the folder's permissions, then run the same command again."
    )


def require_free_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Stop before a long job writes `what` to a disk that cannot hold it.

    Raises:
        DiskError: fewer than `needed_bytes` are free where `folder` lies.
    """
    existing = next(p for p in [folder, *folder.absolute().parents] if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed_bytes:
        raise DiskError(
            f"{what} needs {needed_bytes / 1e6:,.0f} MB, but the disk of {existing} has "
            f"{free / 1e6:,.0f} MB free. Free some space, or shrink the dump in the config."
        )


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_json(path: Path, value: Any, is_lasting: bool = True) -> None:
    """Write JSON with sorted keys; NaN and infinity are refused. See `atomic`."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    with atomic(path, is_lasting) as handle:
        handle.write(text.encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        ResultError: the file is missing or is not JSON, or has a NaN or an infinity.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"it holds {constant}, which is not a finite number")

    try:
        return json.loads(Path(path).read_text(), parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(
            f"cannot read {path}: {error}. Delete it and run snakemake again to rebuild it."
        ) from error


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write one array as .npy, without pickle."""
    with atomic(path) as handle:
        np.lib.format.write_array(handle, np.ascontiguousarray(array), allow_pickle=False)


def read_npy(path: Path) -> np.ndarray:
    """Map a .npy file read-only, without pickle.

    Raises:
        ResultError: the file is missing, truncated or holds objects.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, EOFError) as error:
        raise ResultError(
            f"cannot read {path}: {error}. Delete it and run snakemake again to rebuild it."
        ) from error


TensorShapes = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name -> (safetensors dtype such as "F32", shape)."""


def _safetensors_header(shapes: TensorShapes, meta: Any) -> bytes:
    header: dict[str, Any] = {
        "__metadata__": {"sightlines": json.dumps(meta, sort_keys=True, allow_nan=False)}
    }
    end = 0
    for name, (code, shape) in shapes.items():
        begin, end = end, end + _nbytes(code, shape)
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _nbytes(code: str, shape: tuple[int, ...]) -> int:
    return math.prod(int(side) for side in shape) * np.dtype(_DTYPES[code]).itemsize


def safetensors_bytes(shapes: TensorShapes, meta: Any) -> int:
    """Exact size in bytes of the file that `TensorWriter` will write."""
    return len(_safetensors_header(shapes, meta)) + sum(_nbytes(*s) for s in shapes.values())


class TensorWriter:
    """Writes a safetensors file tensor by tensor, in constant memory.

    The format fixes every offset in its header, so all shapes are declared at the start. Tensors
    are then written whole or in pieces along the first axis, and may take turns.

    Use as a context manager; the file appears when the block ends and every declared byte
    was written. The metadata is one key with sorted JSON: several come out in random order.
    """

    def __init__(self, path: Path, shapes: TensorShapes, meta: Any) -> None:
        """Declare the file's tensors and what describes them.

        Args:
            path: Where the file appears at the end.
            shapes: Name -> (dtype code, shape), in the file's order.
            meta: JSON-able description, read back by `read_meta`.
        """
        self._shapes = dict(shapes)
        self._header = _safetensors_header(shapes, meta)
        self._left = {name: _nbytes(*shape) for name, shape in self._shapes.items()}
        begins = itertools.accumulate(self._left.values(), initial=len(self._header))
        self._next = dict(zip(self._shapes, begins, strict=False))
        self._context = atomic(path)

    def __enter__(self) -> "TensorWriter":
        self._handle = self._context.__enter__()
        try:
            self._handle.write(self._header)
        except BaseException as error:
            self._context.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def write(self, name: str, array: np.ndarray) -> None:
        """Write `array`: all of tensor `name`, or its next rows.

        Raises:
            ValueError: the file has no such tensor, or no room left in it.
        """
        if name not in self._shapes:
            raise ValueError(f"wrote {name!r}, which is not declared: {list(self._shapes)}")
        array = np.ascontiguousarray(array, dtype=_DTYPES[self._shapes[name][0]])
        if array.nbytes > self._left[name]:
            raise ValueError(
                f"wrote {array.nbytes} bytes of {name!r}, where {self._left[name]} are missing"
            )
        self._handle.seek(self._next[name])
        self._handle.write(array.data.cast("B") if array.size else b"")
        self._next[name] += array.nbytes
        self._left[name] -= array.nbytes

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        missing = [name for name, left in self._left.items() if left]
        if kind is None and missing:
            error = ValueError(f"tensors not completely written: {missing}")
            self._context.__exit__(ValueError, error, None)
            raise error
        self._context.__exit__(kind, error, trace)


class TensorFile(NamedTuple):
    """What a safetensors file is to hold, before it is computed.

    Attributes:
        shapes: Name -> (dtype code, shape), in the file's order.
        meta: JSON-able description.
        tensors: (name, array), all of a tensor or its next rows, in any order of tensors; computed
            as they are asked for, so that no two need be held at once.
    """

    shapes: TensorShapes
    meta: Any
    tensors: Iterable[tuple[str, np.ndarray]]


def write_tensor_file(path: Path, content: TensorFile, what: str = "") -> None:
    """Write a safetensors file while its tensors are computed, in constant memory.

    Args:
        path: Where it appears at the end.
        content: What it holds.
        what: How a message calls it; its path if empty.

    Raises:
        DiskError: it cannot be written, or there is not enough room for it.
        ValueError: a tensor is not one that `shapes` names, is too large, or is missing.
    """
    needed = safetensors_bytes(content.shapes, content.meta)
    require_free_space(path.parent, needed, what or str(path))
    with TensorWriter(path, content.shapes, content.meta) as writer:
        for name, array in content.tensors:
            writer.write(name, array)


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], meta: Any) -> None:
    """Write a safetensors file from arrays held in memory."""
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    shapes = {name: (_CODES[a.dtype], a.shape) for name, a in arrays.items()}
    with TensorWriter(path, shapes, meta) as writer:
        for name, array in arrays.items():
            if array.size:
                writer.write(name, array)


class TensorReader:
    """Reads a safetensors file lazily: `reader[name]` maps one tensor, `reader.meta` describes.

    Raises:
        ResultError: the file is missing, truncated or was not written by sightlines.
    """

    def __init__(self, path: Path) -> None:
        """Open `path` and check that its header and its length agree."""
        self.path = Path(path)
        try:
            size = self.path.stat().st_size
            self._begin, header = self._read_header(size)
            self.meta = _description(header)
            self._entries: dict[str, dict[str, Any]] = header
            end = 0
            for name, entry in header.items():
                end = _checked_end(name, entry, end)
            if size != self._begin + end:
                raise ValueError(f"it has {size} bytes instead of {self._begin + end}")
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise self._unreadable("its header is not that of a safetensors file") from error

    def _read_header(self, size: int) -> tuple[int, dict[str, Any]]:
        """Where the tensors begin, and what the header says."""
        with open(self.path, "rb") as handle:
            if size < 8:
                raise ValueError("it is empty" if size == 0 else f"it has only {size} bytes")
            (length,) = struct.unpack("<Q", handle.read(8))
            if length > min(size, 100_000_000):
                raise ValueError("its header is longer than the file")
            return 8 + length, json.loads(handle.read(length))

    def _unreadable(self, reason: Any) -> ResultError:
        return ResultError(
            f"cannot read {self.path}: {reason}. Delete it and run snakemake again to rebuild it."
        )

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        """All tensor names, in file order."""
        return list(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor, without reading it."""
        return tuple(self._entries[name]["shape"])

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._entries:
            raise ResultError(
                f"{self.path} has no tensor {name!r}; it has {self.names()[:20]}. "
                "Delete it and run snakemake again to rebuild it."
            )
        entry = self._entries[name]
        shape = tuple(entry["shape"])
        dtype = _DTYPES[entry["dtype"]]
        if 0 in shape:
            return np.zeros(shape, dtype)
        offset = self._begin + entry["data_offsets"][0]
        return np.memmap(self.path, dtype, "r", offset, shape)


def _checked_end(name: str, entry: dict[str, Any], begin: int) -> int:
    """Where a tensor ends that must begin at `begin`, just behind the one before it.

    Raises:
        ValueError: its type is unknown, its shape impossible, or its place another one.
    """
    code, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if code not in _DTYPES:
        raise ValueError(f"tensor {name!r} has the unknown type {code!r}")
    if not all(_is_size(number) for number in [*shape, *place]):
        raise ValueError(f"tensor {name!r} has a shape or a place that is not of whole numbers")
    whole = _nbytes(code, tuple(max(side, 1) for side in shape))
    if len(shape) > MOST_AXES or whole >= 2**63:
        raise ValueError(f"tensor {name!r} has a shape that no array has")
    end = begin + _nbytes(code, tuple(shape))
    if place != [begin, end]:
        raise ValueError(f"tensor {name!r} does not fill its place")
    return end


def _is_size(value: Any) -> bool:
    """Whether it is a whole number from 0; JSON's true and 1.0 are none."""
    return type(value) is int and value >= 0


def _description(header: dict[str, Any]) -> dict[str, Any]:
    """Take what describes the file out of its header."""
    own = header.pop("__metadata__", {})
    if "sightlines" not in own:
        raise ValueError("it was not written by sightlines")
    return json.loads(own["sightlines"])  # type: ignore[no-any-return]


def write_table(path: Path, table: Any) -> None:
    """Write a data frame as .csv (nine significant digits) or .parquet, by the path's ending."""
    buffer = io.BytesIO()
    if Path(path).suffix == ".csv":
        table.to_csv(buffer, index=False, float_format="%.9g", lineterminator="\n")
    else:
        table.to_parquet(buffer, index=False, compression="zstd")
    with atomic(path) as handle:
        handle.write(buffer.getbuffer())


def read_table(path: Path) -> Any:
    """Read a data frame from .csv or .parquet.

    Raises:
        ResultError: the file is missing or damaged.
    """
    import pandas as pd

    try:
        if Path(path).suffix == ".csv":
            return pd.read_csv(path)
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        kind = "CSV" if Path(path).suffix == ".csv" else "Parquet"
        damaged = f"it is not a whole {kind} table"  # pyarrow's OSErrors have no number
        reason = error.strerror if isinstance(error, OSError) and error.errno else damaged
        raise ResultError(
            f"cannot read {path}: {reason}. Delete it and run snakemake again to rebuild it."
        ) from error
