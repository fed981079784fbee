"""Every public function says what it does, and its example does what it says."""

import doctest
import importlib
import inspect

import matplotlib
import numpy as np
import pytest
from docs.site_hooks import API

import sightlines as sl

PUBLIC = {
    name: importlib.import_module(place.partition(":")[0]) for name, place in sl._PUBLIC.items()
}
FUNCTIONS = {
    name: getattr(sl, name) for name in PUBLIC if inspect.isfunction(getattr(sl, name))
} | {
    f"plot.{name}": found
    for name, found in vars(sl.plot).items()
    if inspect.isfunction(found) and found.__module__ == sl.plot.__name__ and name[0] != "_"
}


@pytest.fixture(scope="module")
def names():
    """What the examples go on from, as the API's page says."""
    matplotlib.use("Agg")
    text = API.split("```python\n")[1].split("```")[0]
    found = {}
    exec(text, found)
    return found


@pytest.mark.whole
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_functions_example_does_what_it_says(name, names):
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    text = inspect.getdoc(FUNCTIONS[name])
    test = parser.get_doctest(text, dict(names), name, None, None)
    assert test.examples, f"{name} has no example"
    said = []
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_and_method_has_a_docstring(name):
    found = getattr(sl, name)
    assert inspect.getdoc(found)
    if inspect.isclass(found):
        for method, value in vars(found).items():
            if method[0] != "_" and (callable(value) or isinstance(value, property)):
                assert inspect.getdoc(getattr(found, method)), f"{name}.{method}"


def test_arguments_are_all_described():
    for name, function in FUNCTIONS.items():
        said = inspect.getdoc(function)
        taken = [a for a in inspect.signature(function).parameters]
        if "Args:" in said:
            assert [a for a in taken if f"    {a}:" not in said] == [], name


def test_names_of_examples_are_numbers_of_this_kind(names):
    assert len(names["images"]) == 64 and isinstance(names["pixels"], np.ndarray)
