"""Types and shapes are checked at every call, by checks that are made once for equal signatures.

jaxtyping's import hook decorates a `def` of the package whenever it is executed: that of a function
within another at each call of the other. For each, beartype makes two checks in a millisecond, more
than most such functions compute. So a check is made when it is first asked for, and serves all that
are equal: what is decorated here is not the package's function but an empty one of its name,
parameters, defaults and annotations.
"""

import contextlib
import typing

from beartype import beartype
from jaxtyping import AbstractArray, config

top_level = []
"""What stands for the functions of modules and classes: each can be checked, or is a mistake."""
_made = {}


def checked(function):
    """What `beartype.beartype` makes of a function, or made of one like it before.

    Args:
        function: Made up by jaxtyping; its body returns one of its arguments or nothing.
    """
    check = None

    def ask(*args, **kwargs):
        __tracebackhide__ = True
        nonlocal check
        if check is None:
            check = make(function)
        return check(*args, **kwargs)

    if "<locals>" not in function.__qualname__:
        top_level.append(function)
    return ask


@contextlib.contextmanager
def unchecked():
    """No types are checked within: for millions of small calls of what other tests check."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)


def make(function):
    """The function with its check."""
    key = _key(function)
    try:
        known = _made.get(key)
    except TypeError:  # a default value has no hash
        return beartype(function)
    if known is None:
        known = _made[key] = beartype(function)
    return known


def _key(function):
    """All that such a function is: its names, its code, and what these are bound to."""
    code = function.__code__  # of equal code: equal names, kinds of parameters, and body
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    annotations = function.__annotations__
    return (
        *(function.__module__, function.__qualname__, code),
        tuple((type(value), value) for value in defaults),
        tuple((name, _identity(hint)) for name, hint in annotations.items()),
    )


def _identity(hint):
    """The same for equal annotations: of jaxtyping's, each has a class of its own."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return (hint.dtype, _identity(hint.array_type), hint.dim_str)
    if isinstance(hint, list):  # parameters of a Callable
        return tuple(map(_identity, hint))
    parts = typing.get_args(hint)
    return (typing.get_origin(hint), *map(_identity, parts)) if parts else (type(hint), hint)
