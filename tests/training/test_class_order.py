"""Which output of a network stands for which class: torchvision's order, timm's, names, a list."""

import random

import pytest

from sightlines.models.timm_names import class_names
from sightlines.training.class_order import (
    BOTH,
    UNDECIDED,
    UNKNOWN,
    by_names,
    find_order,
    timm_order,
    torchvision_order,
)

IMAGENET = class_names(1000)
TWELVE = [str(number) for number in range(12)]
AS_TEXT = ["0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9"]
FOLDERS = {
    "numbers": TWELVE,
    "padded": [f"{number:02}" for number in range(12)],
    "words and numbers": [f"class{number}" for number in (10, 2, 1)],
    "case": ["Zebra", "ant", "Bee", "class2", "Class10"],
    "signs": ["a-b", "a b", "a_b", "A.b", "été", "猫", "1.10", "1.9"],
}


def test_folders_named_by_wordnet_id():
    assert by_names(["n01440764", "n02102040", "n03888257"], IMAGENET) == [0, 217, 701]


def test_folders_named_in_words():
    named = ["tench", "English_springer", "parachute", "gas-pump"]
    assert by_names(named, IMAGENET) == [0, 217, 701, 571]


def test_hyphens_in_names_do_not_matter():
    assert by_names(["black-footed_ferret", "flat coated retriever"], IMAGENET) == [359, 205]


@pytest.mark.parametrize(
    "classes", [["tench", "my cat"], ["crane"], ["a", "b"], ["goldfish", "Carassius_auratus"]]
)
def test_unknown_and_ambiguous_names_claim_nothing(classes):
    """'crane' is a bird and a machine; the last two are one fish."""
    assert by_names(classes, IMAGENET) == []
    order = find_order(classes, IMAGENET)
    assert (order.outputs, order.taken) == ([], UNKNOWN)
    assert "class_file" in order.note


@pytest.mark.parametrize("names", FOLDERS.values(), ids=FOLDERS)
def test_orders_are_those_of_torchvision_and_of_timm(names, tmp_path):
    from timm.data.readers.reader_image_folder import find_images_and_targets
    from torchvision.datasets.folder import find_classes

    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").touch()
    _, theirs = find_images_and_targets(str(tmp_path))
    shuffled = random.Random(3).sample(names, len(names))
    assert timm_order(shuffled) == sorted(theirs, key=theirs.__getitem__)
    assert torchvision_order(shuffled) == find_classes(tmp_path)[0]


def test_numbered_folders_in_both_orders():
    """Labels are those of `dataset.json`, which sorts classes as text."""
    assert find_order(AS_TEXT, TWELVE, "torchvision").outputs == [*range(12)]
    assert find_order(AS_TEXT, TWELVE, "timm").outputs == [int(name) for name in AS_TEXT]


def test_case_counts_for_torchvision_alone():
    classes, outputs = ["Class10", "bee", "class2"], ["0", "1", "2"]
    assert find_order(classes, outputs, "torchvision").outputs == [0, 1, 2]
    assert find_order(classes, outputs, "timm").outputs == [2, 0, 1]
    assert find_order(classes, outputs).taken == UNDECIDED


def test_where_the_orders_differ_and_nothing_decides_there_is_none():
    order = find_order(AS_TEXT, TWELVE)
    assert (order.outputs, order.taken) == ([], UNDECIDED)
    for word in ("class_order", "torchvision", "timm", "class_file"):
        assert word in order.note


@pytest.mark.parametrize("classes", [["cat", "dog"], ["00", "01"], ["Ant", "Bee"]])
def test_where_the_orders_agree_it_is_taken(classes):
    order = find_order(classes, ["0", "1"])
    assert (order.outputs, order.taken) == ([0, 1], BOTH)


def test_as_many_outputs_as_classes_are_needed():
    assert find_order(["cat", "dog"], ["0", "1", "2"]).taken == UNKNOWN
    assert find_order(["0", "1"], ["0", "1", "2"]).outputs == []
    assert find_order(["cat", "dog"], ["0", "1", "2"], "timm").taken == UNKNOWN


def test_numbers_of_outputs_are_no_names():
    order = find_order(AS_TEXT, TWELVE, "names")
    assert order.outputs == [] and "torchvision or timm" in order.note


def test_names_are_demanded():
    order = find_order(["tench", "my cat"], IMAGENET, "names")
    assert order.taken == UNKNOWN and "my cat" in order.note and "tench" not in order.note
    assert find_order(["tench", "parachute"], IMAGENET, "names").outputs == [0, 701]


def test_a_key_goes_before_names():
    """A network of 1,000 outputs need not be one of ImageNet."""
    classes = sorted(str(number) for number in range(1000))
    assert find_order(classes, IMAGENET).taken == UNKNOWN
    assert find_order(classes, IMAGENET, "timm").outputs == [int(name) for name in classes]


def test_a_class_that_timm_passes_over_moves_its_numbers():
    """Without 'b' timm would number a, c; torchvision a, b, c."""
    classes, outputs = ["a", "b", "c"], ["0", "1", "2"]
    assert find_order(classes, outputs, seen_by_timm={"a", "b", "c"}).taken == BOTH
    for wanted in ("auto", "timm"):
        order = find_order(classes, outputs, wanted, seen_by_timm={"a", "c"})
        assert (order.outputs, order.taken) == ([], UNDECIDED)
        assert " b " in order.note and ".jpg" in order.note
    order = find_order(classes, outputs, "torchvision", seen_by_timm={"a", "c"})
    assert order.outputs == [0, 1, 2]
    assert find_order(classes, outputs, seen_by_timm=set()).taken == BOTH


def test_names_that_timm_takes_for_equal_have_no_order():
    """It sorts a set of them: which is first changes from one process to the next."""
    order = find_order(["01", "1", "2"], ["0", "1", "2"], "timm")
    assert (order.outputs, order.taken) == ([], UNDECIDED)
    assert "01, 1" in order.note and "class_file" in order.note
    assert find_order(["01", "1", "2"], ["0", "1", "2"], "torchvision").outputs == [0, 1, 2]


def test_a_list_decides_and_may_name_more():
    order = find_order(["2", "10"], TWELVE, "file", listed=AS_TEXT)
    assert (order.outputs, order.taken) == ([4, 2], "file")
    order = find_order(["2", "cat"], TWELVE, "file", listed=AS_TEXT)
    assert order.outputs == [] and "cat" in order.note and "class_file" in order.note


def test_labels_that_are_no_folders_are_numbered_already():
    order = find_order(["square", "circle"], ["0", "1"], is_folder=False)
    assert (order.outputs, order.taken) == ([0, 1], "dataset")


def test_without_classes_or_outputs_there_is_nothing_to_order():
    assert find_order([], ["0"]).taken == find_order(["a", "b"], []).taken == UNKNOWN
