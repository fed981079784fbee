"""Types and shapes are checked at every call of the package, at a third of jaxtyping's own cost.

Its import hook decorates each `def`. What is done otherwise here:

- Where no array is annotated, beartype alone checks: a microsecond a call. jaxtyping would bind the
  arguments to the signature as well, to tell their shapes, in 15.
- A function within another is decorated at each call of the other, which takes a millisecond. One
  that takes and gives no array is left to the type checker. For the others beartype is given not
  the function but an empty one of its name, parameters, defaults and annotations, so that one check
  serves all that are equal.
- Most functions are not called in a process. Checks are made when they are first asked for.
"""

import contextlib
import functools
import types
import typing

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, config

top_level = []
"""What stands for the functions of modules and classes: each can be checked, or is a mistake."""
RAISES = BeartypeConf(violation_type=jaxtyping.TypeCheckError)
"""What jaxtyping raises: a TypeError, which callers may catch of bad input."""
_made = {}
_with_shapes = jaxtyping.jaxtyped


def typed(function=None, **options):
    """In place of `jaxtyping.jaxtyped`, by whose name the import hook decorates functions."""
    if function is None:
        return functools.partial(typed, **options)
    is_plain = isinstance(function, types.FunctionType)
    if not is_plain or any(map(_has_shape, function.__annotations__.values())):
        return _with_shapes(function, **options)
    if "<locals>" in function.__qualname__:
        return function
    check = None

    @functools.wraps(function)
    def call(*args, **kwargs):
        __tracebackhide__ = True
        nonlocal check
        if config.jaxtyping_disable:
            return function(*args, **kwargs)
        if check is None:
            check = beartype(function, conf=RAISES)
        return check(*args, **kwargs)

    top_level.append(function)
    return call


jaxtyping.jaxtyped = typed


def _has_shape(hint):
    """Whether jaxtyping knows more of an annotation: an array's, or one that is still text."""
    if isinstance(hint, str | typing.ForwardRef):
        return True
    if isinstance(hint, list):  # parameters of a Callable
        return any(map(_has_shape, hint))
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    literal = typing.get_origin(hint) is typing.Literal
    return not literal and any(map(_has_shape, typing.get_args(hint)))


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
