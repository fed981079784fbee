"""Paths of a config below data_root (or SIGHTLINES_DATA), the folder of everybody's own files."""

from pathlib import PurePosixPath

from sightlines.core.errors import ConfigError


def require_below(path: str, key: str, others: str = "") -> None:
    """Check that a path lies below data_root, as far as its name tells.

    Args:
        path: What the config says; may be empty.
        key: Of the config, for the error.
        others: What else the key may be, in words.

    Raises:
        ConfigError: the path leads out of it.
    """
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\0" in path:
        raise ConfigError(
            f"{key} is {path!r}: it must be {others}a path below data_root (or SIGHTLINES_DATA), "
            "neither absolute nor with '..'. Put the file or folder there, or set data_root to "
            "the folder above it."
        )
