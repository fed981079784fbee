"""Reads the pickles of CIFAR-10 and CIFAR-100, and nothing else.

A pickle is a program. This reader admits the four names that those files use, replaces each by a
stand-in of its own that can only build uint8 arrays and bytes, and refuses all others, so that no
foreign code and no NumPy constructor ever runs.
"""

import io
import pickle
from typing import Any

import numpy as np

from sightlines.core.errors import DataError


class _Refused(pickle.UnpicklingError):
    pass


class _Call:
    """A stand-in for an admitted name: can be called, and changed in no way."""

    __slots__ = ("_function",)

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, _state: Any) -> None:
        raise _Refused("it sets the state of a function")


class _Dtype:
    """Stands in for numpy.dtype: uint8 alone."""

    __slots__ = ()

    def __setstate__(self, _state: Any) -> None:
        """Byte order and such: uint8 has none."""


class _Array:
    """Stands in for numpy.ndarray until its state arrives."""

    __slots__ = ("value",)

    def __setstate__(self, state: Any) -> None:
        version, shape, dtype, is_fortran, content = state
        if version != 1 or not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise _Refused("it holds an array that is not plain uint8")
        flat = np.frombuffer(content, np.uint8)
        self.value = flat.reshape(shape, order="F" if is_fortran else "C")


_NDARRAY = "numpy.ndarray"


def _make_array(kind: Any, shape: Any, code: Any) -> _Array:
    if kind != _NDARRAY or shape != (0,) or code not in (b"b", "b"):
        raise _Refused("it builds something other than an array")
    return _Array()


def _make_dtype(code: Any, *_flags: Any) -> _Dtype:
    if code not in ("u1", b"u1", "|u1", b"|u1", "uint8", b"uint8"):
        raise _Refused(f"it holds an array of type {code!r} instead of uint8")
    return _Dtype()


def _encode(text: Any, codec: Any) -> bytes:
    if not isinstance(text, str) or codec not in ("latin1", b"latin1"):
        raise _Refused("it encodes something other than Latin-1 text")
    return text.encode("latin1")


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _Call(_make_array),
    ("numpy._core.multiarray", "_reconstruct"): _Call(_make_array),
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Call(_make_dtype),
    ("_codecs", "encode"): _Call(_encode),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise _Refused(f"it asks for {module}.{name}") from None


def read_pickle(content: bytes, where: str) -> dict[str, Any]:
    """Read one batch or meta file.

    Args:
        content: The file's bytes.
        where: How errors call the file.

    Returns:
        The dictionary that it holds: keys as str, arrays as uint8 ndarrays, text as bytes.

    Raises:
        DataError: damaged, or holding anything that CIFAR's files do not hold.
    """
    try:
        found = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except _Refused as error:
        raise DataError(
            f"{where} is not a CIFAR file: {error}. Nothing of it was run. "
            "Delete it and fetch the official archive again."
        ) from error
    except Exception as error:  # a damaged pickle fails in any way
        raise DataError(
            f"{where} is damaged ({type(error).__name__}: {error}). "
            "Delete it and fetch the official archive again."
        ) from error
    if not isinstance(found, dict):
        raise DataError(
            f"{where} holds a {type(found).__name__} instead of a dictionary. "
            "Delete it and fetch the official archive again."
        )
    return {_text(key): _plain(value) for key, value in found.items()}


def _text(key: Any) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _plain(value: Any) -> Any:
    return getattr(value, "value", None) if isinstance(value, _Array) else value
