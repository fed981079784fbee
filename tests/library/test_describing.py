"""What would be looked at in a network: the same by name, by an object, and by the command."""

import json

import pytest
import torch
from tests.models import transformers_folders as folders
from tests.models.nets import SIZE_PX, VIT

import sightlines as sl
from sightlines.core.errors import ConfigError
from sightlines.models import module, timm_building
from sightlines.models.__main__ import main
from sightlines.models.building import build

pytestmark = pytest.mark.whole

CODE = """
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, x):
        normed = self.norm(x)
        return x + self.attention(normed, normed, normed, need_weights=False)[0]


class Net(nn.Module):
    def __init__(self, classes, depth):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 8, 8)
        self.blocks = nn.Sequential(*[Block() for _ in range(depth)])
        self.head = nn.Linear(12, classes)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x).flatten(2).transpose(1, 2)).mean(1))


def build(classes, size_px, depth=2):
    return Net(classes, depth)
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def said(capsys, *words):
    """Exit status of the command, and what it printed: as JSON where it is."""
    code = main(words)
    out, err = capsys.readouterr()
    return code, json.loads(out) if "--json" in words and not code else out + err


@pytest.mark.parametrize(("name", "size_px"), [("test_vit", 64), ("test_resnet", 64)])
def test_a_name_and_the_network_of_that_name_are_described_alike(name, size_px):
    by_name = sl.describe(name, size_px=size_px).to_dict()
    network = sl.load(name, weights="random", size_px=size_px)
    assert sl.describe(network).to_dict() == by_name
    assert by_name == timm_building.described_network({"name": name, "size_px": size_px})
    assert json.loads(json.dumps(by_name)) == by_name


def test_a_network_that_one_forward_pass_shows_is_described_by_name_and_as_loaded():
    network = sl.load("mobilevit_xxs", weights="random", size_px=64)
    assert sl.describe(network).to_dict() == sl.describe("mobilevit_xxs", size_px=64).to_dict()


def test_a_description_reads_as_a_text_and_gives_its_parts():
    about = sl.describe("test_vit", size_px=64)
    assert repr(about).startswith("test_vit: vit (claims take it for: vit)")
    assert "mean attention distance (Figures 3, 4)" in repr(about)
    assert about.name == "test_vit" and len(about.layers) == len(about.found["layers"])
    assert {"name", "kind", "block", "module", "shape"} <= {*about.layers.columns}
    assert "skips" in about.measurements and not about.not_measured
    about.to_dict()["layers"].clear()
    assert len(about.layers)


def test_a_network_that_was_trained_here_is_described():
    network = sl.load(build(VIT, SIZE_PX, 4, seed=1), size_px=SIZE_PX, name="ours")
    about = sl.describe(network).to_dict()
    assert (about["name"], about["does"], about["grid"], about["blocks"]) == (
        *("ours", "vit", [5, 5]),
        3,
    )
    assert len(about["attention"]) == 3 and "heads" in about["measurements"]


def test_a_module_is_described_and_layers_that_one_lists():
    space = {}
    exec(CODE, space)
    own = space["build"](5, 64).eval()
    about = sl.describe(own, size_px=64)
    assert about.found["blocks"] == 2 and len(about.found["attention"]) == 2
    listed = sl.describe(own, size_px=64, layers=["blocks.1"])
    assert [*listed.layers["module"]] == ["blocks.1"]
    hidden = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2, 2), torch.nn.Conv2d(4, 4, 2, 2))
    assert sl.describe(hidden, layers=["1"], size_px=32).found["does"] == "other"
    with pytest.raises(ConfigError, match="leave them out"):
        sl.describe(sl.load(own, size_px=64), size_px=32)
    with pytest.raises(ConfigError, match="nonsuch_net"):
        sl.describe("nonsuch_net")


def test_the_command_describes_networks_of_torchvision(capsys):
    asked = ("resnet18", "--family", "torchvision", "--json", "--size-px", "64")
    code, found = said(capsys, *asked)
    assert code == 0 and found["blocks"] == 8 and found["does"] == "resnet"
    assert found["size_px"] == 64 and found["grid"] == [2, 2]
    assert found["mean"] == [0.485, 0.456, 0.406]
    code, text = said(capsys, "nonsuch", "--family", "torchvision")
    assert code == 1 and "has no network 'nonsuch'" in text
    code, text = said(capsys, "resnet18", "--family", "torchvision", "--arguments", "[1]")
    assert code == 1 and "object in JSON" in text


def test_the_command_describes_networks_of_transformers(capsys, tmp_path):
    folder = tmp_path / "nets" / "mine"
    folder.parent.mkdir()
    folders.make(folder, "vit")
    words = ("nets/mine", "--family", "transformers", "--data-root", str(tmp_path), "--json")
    code, found = said(capsys, *words)
    assert code == 0 and found["blocks"] == 3 and found["does"] == "vit"
    assert found["size_px"] == folders.SIZE_PX
    code, text = said(capsys, "nets/other", "--family", "transformers")
    assert code == 1 and "nets/other" in text


def test_the_command_runs_own_code_only_where_it_is_trusted_and_says_what_a_config_must(capsys):
    with open("mine.py", "w") as file:
        file.write(CODE)
    words = ("mine.py:build", "--family", "module", "--size-px", "64", "--json")
    code, text = said(capsys, *words[:-1])
    digest = module.code_of({"entry": "mine.py:build"})
    assert code == 1 and f"trust_code={digest}" in text
    more = ("--arguments", '{"depth": 3}', "--trust-code", digest)
    code, found = said(capsys, *words, *more)
    assert code == 0 and found["blocks"] == 3 and found["attention"][0]["heads"] == 3
    assert found["config"] == {
        **{"grid": [8, 8], "attention": "plain", "pool": "gap", "starts_idle": False},
        "role": "vit",
    }
    settings = {"entry": "mine.py:build", "arguments": {}, "acts_as": "vit"} | found["config"]
    assert build({"family": "module"} | settings, 64, 5, seed=0)
    code, text = said(capsys, *words[:-1], *more[2:])
    assert code == 0 and "the config must say:\n    grid: [8, 8]" in text
