"""Arguments of the wrong type are refused in words, before anything is computed."""

from typing import Any

from sightlines.core.errors import ConfigError


def require(value: Any, kind: type, called: str, wanted: str) -> None:
    """Refuse a value that is of another class.

    Args:
        value: What was given.
        kind: The class that it must be of.
        called: Which argument it is, such as ``cka: a``.
        wanted: What to give.

    Raises:
        ConfigError: it is of another class.
    """
    if not isinstance(value, kind):
        raise ConfigError(f"{called} is of type {type(value).__name__}; give {wanted}")


NETWORK, IMAGES = "a Network, from `sl.load`", "Images, from `sl.images`"
