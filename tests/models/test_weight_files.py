"""What a file of weights from somebody else holds: tensors by name, in sets; nothing is run."""

import argparse
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models.weight_files import read

A, B = torch.arange(3.0), torch.arange(5.0)


def test_sets_have_the_names_of_their_keys(tmp_path):
    content = {"model": {"a": A, "ema": {"a": B}}, "state_dict": None, "epoch": 3, "mean": A}
    torch.save(content, tmp_path / "w.pth")
    found = read(tmp_path / "w.pth")
    assert {place: [*own] for place, own in found.items()} == {
        "": ["mean"],
        "model": ["a"],
        "model.ema": ["a"],
    }
    assert torch.equal(found["model.ema"]["a"], B)


def test_a_scripts_options_do_not_hide_the_weights(tmp_path):
    options = argparse.Namespace(arch="vit", lr=0.1)
    torch.save({"teacher": {"a": A}, "args": options}, tmp_path / "w.pth")
    assert torch.equal(read(tmp_path / "w.pth")["teacher"]["a"], A)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_options_that_would_run_code_are_refused_and_run_none(tmp_path):
    options = argparse.Namespace(hook=Bomb(tmp_path / "fired"))
    torch.save({"teacher": {"a": A}, "args": options}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth.*can run code.*save_file"):
        read(tmp_path / "w.pth")
    assert not (tmp_path / "fired").exists()


@pytest.mark.parametrize("form", ["now", "before zip files"])
def test_a_whole_network_is_called_so(tmp_path, form):
    network = nn.Sequential(nn.Linear(2, 3))
    torch.save(network, tmp_path / "w.pth", _use_new_zipfile_serialization=form == "now")
    with pytest.raises(WeightsError, match=r"w\.pth.*can run code.*save_file") as caught:
        read(tmp_path / "w.pth")
    assert form != "now" or "whole pickled network" in str(caught.value)
    assert "model.state_dict()" in str(caught.value) or form != "now"
    assert "weights_only" not in str(caught.value)


def test_a_file_without_tensors(tmp_path):
    save_file({}, tmp_path / "w.safetensors")
    (tmp_path / "list.pth").write_bytes(pickle.dumps([1]))
    for name in ("w.safetensors", "list.pth"):
        with pytest.raises(WeightsError, match=name):
            read(tmp_path / name)
