"""Settings that several families or datasets have: written in each, since none is imported to plan.

A value that one of them takes the others take, too; what is said of it, and its default, may be the
member's own.
"""

import pytest

from sightlines.plan import registry

OWN = {"description", "default"}
DIFFERING = {
    ("models", "acts_as"): "a network of one's own cannot be told automatically",
    ("models", "name"): "each library names its networks in its own way",
    ("models", "outputs"): "timm has networks without a last layer",
    ("models", "pool"): "a network of one's own may pool otherwise",
    ("models", "weights"): "a folder of transformers has its own weights or none",
    ("datasets", "size_px"): "drawn images are smaller than photographs",
}
SHARDS = ("lmdb", "parquet", "webdataset")


def by_setting(folder):
    """Setting -> member -> its declaration."""
    found = {}
    for member in registry.members(folder):
        for name, node in registry.declarations(folder, member)["SETTINGS"].items():
            found.setdefault(name, {})[member] = node
    return found


def values(node):
    """What may stand for a setting, whatever the order of its alternatives."""
    kept = {key: value for key, value in node.items() if key not in OWN}
    return kept | ({"enum": sorted(kept["enum"])} if "enum" in kept else {})


@pytest.mark.parametrize("folder", ["models", "datasets"])
def test_a_setting_takes_the_same_values_wherever_it_stands(folder):
    several = {name: of for name, of in by_setting(folder).items() if len(of) > 1}
    assert len(several) > 5
    for name, members in several.items():
        allowed = [values(node) for node in members.values()]
        is_alike = all(each == allowed[0] for each in allowed)
        assert is_alike != ((folder, name) in DIFFERING), (name, members)


def test_kinds_of_shards_have_the_same_settings_and_defaults():
    own = {"label", "label_key", "image", "label_column", "image_column", "class_names"}
    for name, members in by_setting("datasets").items():
        here = [members[kind] for kind in SHARDS if kind in members]
        if here and name not in own:
            assert len(here) == len(SHARDS), name
            assert all(node == here[0] for node in here), name
