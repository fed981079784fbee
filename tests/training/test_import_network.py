"""Which output of a public network stands for which class of the photographs."""

import pytest

from sightlines.models.timm_facts import class_names
from sightlines.training.import_network import find_answers

OUTPUTS = class_names(1000)


def test_folders_named_by_wordnet_id():
    assert find_answers(["n01440764", "n02102040", "n03888257"], OUTPUTS) == [0, 217, 701]


def test_folders_named_in_words():
    named = ["tench", "English_springer", "parachute", "gas-pump"]
    assert find_answers(named, OUTPUTS) == [0, 217, 701, 571]


def test_hyphens_in_names_do_not_matter():
    assert find_answers(["black-footed_ferret", "flat coated retriever"], OUTPUTS) == [359, 205]


@pytest.mark.parametrize(
    "classes", [["tench", "my cat"], ["crane"], ["a", "b"], ["goldfish", "Carassius_auratus"]]
)
def test_unknown_and_ambiguous_names_claim_nothing(classes):
    """'crane' is a bird and a machine; the last two are one fish."""
    assert find_answers(classes, OUTPUTS) is None


def test_as_many_unnamed_outputs_as_classes_are_in_order():
    assert find_answers(["cat", "dog"], ["0", "1"]) == [0, 1]
    assert find_answers(["cat", "dog"], ["0", "1", "2"]) is None


@pytest.mark.parametrize("outputs", [OUTPUTS, ["0"], []])
def test_photographs_without_classes_have_no_answers(outputs):
    assert find_answers([], outputs) is None
