"""Checks of types that are made once for equal signatures find what fresh ones find."""

import contextlib
import importlib
import pkgutil
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Bool, Float, TypeCheckError, jaxtyped

import sightlines
from sightlines.core import seeds
from sightlines.stats.embeddings import cosines
from tests import type_checks
from tests.type_checks import checked, typed


def of_one_name(hint, default=None):
    """A function that is like all others from here but in its annotation and default."""

    def same(value: hint = default):
        return value

    return checked(same)


def taken(function, value):
    try:
        return function(value) is value
    except BeartypeCallHintViolation:
        return False


HINTS = {
    "int": (int, 1, "a"),
    "str": (str, "a", 1),
    "one": (Literal[1], 1, 2),
    "true": (Literal[True], True, 1),
    "union": (int | str, "a", 1.5),
    "ints": (list[int], [1], ["a"]),
    "strs": (list[str], ["a"], [1]),
    "row": (Float[np.ndarray, "n"], np.ones(3), np.ones((3, 2))),
    "rows": (Float[np.ndarray, "n 2"], np.ones((3, 2)), np.ones(3)),
    "truth": (Bool[np.ndarray, "n"], np.ones(3, bool), np.ones(3)),
    "tensor": (Float[torch.Tensor, "n"], torch.ones(3), np.ones(3)),
    "perhaps": (Float[np.ndarray, "n"] | None, None, np.ones((3, 2))),
    "call": (Callable[[int], str], str, 1),
    "calls": (Callable[[str], str] | int, 1, "a"),
}


@pytest.mark.parametrize("name", HINTS)
def test_functions_that_differ_in_an_annotation_alone_have_checks_of_their_own(name):
    for hint, _, _ in HINTS.values():
        of_one_name(hint)
    hint, right, wrong = HINTS[name]
    assert taken(of_one_name(hint), right) and not taken(of_one_name(hint), wrong)


def test_defaults_are_those_of_the_function():
    several = [of_one_name(int, default) for default in (0, 1, 2)]
    assert [function() for function in several] == [0, 1, 2]
    assert of_one_name(bool, False)() is False and of_one_name(int, 0)() == 0
    unhashable = [of_one_name(list, [n]) for n in (1, 2)]
    assert [function() for function in unhashable] == [[1], [2]]


def within(scale):
    @jaxtyped(typechecker=checked)
    def inner(rows: Float[np.ndarray, "n 2"], *, times: int = 1) -> Float[np.ndarray, "..."]:
        return rows.sum(1) * times if scale else str(rows)

    return inner


def test_of_a_function_within_another_each_is_checked_and_one_check_is_made():
    first = within(1)
    assert first(np.ones((1, 2))).tolist() == [2]
    made = len(type_checks._made)
    for scale in range(4):
        inner = within(scale)
        with pytest.raises(TypeCheckError, match="'rows'"):
            inner(np.ones(2))
        with pytest.raises(TypeCheckError, match="'times'"):
            inner(np.ones((3, 2)), times="a")
        if scale:
            assert inner(np.ones((3, 2)), times=2).tolist() == [4, 4, 4]
        else:
            with pytest.raises(TypeCheckError, match="return value"):
                inner(np.ones((3, 2)))
    told = [key for key in list(type_checks._made)[made:] if key[1] != "check_single_arg"]
    assert told == []


def test_functions_of_the_package_are_checked():
    with pytest.raises(TypeCheckError, match="root"):
        seeds.generator("no number", "a")
    with pytest.raises(TypeCheckError, match="'embeddings'"):
        cosines(np.ones(3))


def test_of_functions_without_arrays_parameters_and_results_are_checked():
    def inner(count: int, *names: str, **more: list[int]) -> dict[str, int]:
        """A docstring."""
        return dict.fromkeys(names, count) if names else more["rows"]

    inner.__qualname__ = "inner"  # as of a module
    outer = typed(inner, typechecker=checked)
    assert outer(1, "a", rows=[2]) == {"a": 1} and outer.__doc__ == "A docstring."
    for wrong in (("1", "a"), (1, 2)):
        with pytest.raises(TypeCheckError):
            outer(*wrong)
    with pytest.raises(TypeCheckError, match="more"):
        outer(1, rows=2)
    with pytest.raises(TypeCheckError, match="return"):
        outer(1, rows=[2])


SHAPES = {
    "row": (Float[np.ndarray, "n"], True),
    "perhaps": (Float[np.ndarray, "n"] | None, True),
    "rows": (list[dict[str, Float[torch.Tensor, "..."]]], True),
    "call": (Callable[[Float[np.ndarray, "..."]], int], True),
    "text": ("int", True),
    "texts": (list["int"], True),
    "array": (np.ndarray | None, False),
    "word": (Literal["a"], False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_jaxtyping_checks_what_it_alone_knows(name):
    hint, expected = SHAPES[name]
    assert type_checks._has_shape(hint) == expected


def test_none_is_checked_only_where_it_is_said():
    with contextlib.suppress(RuntimeError), type_checks.unchecked():
        assert seeds.derive("1", "a") == seeds.derive(1, "a")
        raise RuntimeError
    with pytest.raises(TypeCheckError, match="root"):
        seeds.derive("1", "a")


@pytest.mark.whole
def test_every_function_of_the_package_can_be_checked():
    """None has annotations that beartype does not know, nor a default of another type."""
    for module in pkgutil.walk_packages(sightlines.__path__, "sightlines."):
        importlib.import_module(module.name)
    own = [f for f in type_checks.top_level if f.__module__.startswith("sightlines.")]
    for function in own:
        type_checks.make(function)
    assert len({f.__module__ for f in own}) > 300 and len(own) > 4000
