"""What a file of weights from somebody else holds: tensors by name, in sets; nothing is run."""

import argparse
import datetime
import pickle
from collections import Counter, OrderedDict
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sightlines.core.errors import WeightsError
from sightlines.models.weight_files import read
from sightlines.models.weight_pickles import look

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


def options_of_scripts():
    """What training scripts keep beside the weights, as lists, arguments and paths."""
    return {
        "lr": np.float64(0.1),
        "epoch": np.int64(3),
        "mean": np.array([0.5, 0.5]),
        "names": np.array(["a", "b"], dtype=object),
        "out": Path("runs/a"),
        "bare": PurePosixPath("runs/b"),
        "windows": PureWindowsPath("runs"),
        "args": argparse.Namespace(root=Path("data"), seed=np.int32(1)),
        "more": SimpleNamespace(depth=np.float32(2)),
        "ordered": OrderedDict(a=1),
        "counts": Counter("aab"),
        "type": np.dtype("float32"),
    }


@pytest.mark.parametrize("place", ["args", "hyper_parameters"])
@pytest.mark.parametrize("form", ["now", "before zip files"])
def test_numbers_and_paths_beside_the_weights_are_passed_over(tmp_path, place, form):
    content = {"state_dict": {"a": A}, place: options_of_scripts()}
    torch.save(content, tmp_path / "w.ckpt", _use_new_zipfile_serialization=form == "now")
    found = read(tmp_path / "w.ckpt")
    assert [*found] == ["state_dict"] and torch.equal(found["state_dict"]["a"], A)
    assert not look(tmp_path / "w.ckpt").names


@pytest.mark.parametrize("inner", [{"w": 1}, [1.0]])
def test_what_an_array_holds_is_refused_as_elsewhere(tmp_path, inner):
    odd = np.array([inner, Bomb(tmp_path / "fired")], dtype=object)
    torch.save({"state_dict": {"a": A}, "args": odd}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"it names io\.open.*checkpoint\[\"state_dict\"\]"):
        read(tmp_path / "w.pth")
    assert not (tmp_path / "fired").exists()


@pytest.mark.parametrize(
    "name", ["W.PTH", "w.PT", "pytorch_model.BIN", "W.CKPT", "weights", "w.v2"]
)
def test_torch_files_by_any_name(tmp_path, name):
    for is_zip in (True, False):
        torch.save({"a": A}, tmp_path / name, _use_new_zipfile_serialization=is_zip)
        assert torch.equal(read(tmp_path / name)[""]["a"], A)


@pytest.mark.parametrize("name", ["w.SAFETENSORS", "weights", "w.v2"])
def test_safetensors_by_any_name(tmp_path, name):
    save_file({"a": A}, tmp_path / name)
    assert torch.equal(read(tmp_path / name)[""]["a"], A)


@pytest.mark.parametrize("name", ["w.npz", "weights"])
def test_archives_of_others_are_no_weights(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        np.savez(file, a=A.numpy())
    with pytest.raises(WeightsError, match="no kind of weight file"):
        read(tmp_path / name)


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
    assert "whole pickled network" in str(caught.value)
    assert "torch.nn.modules" in str(caught.value) and "model.state_dict()" in str(caught.value)
    assert "weights_only" not in str(caught.value)


def test_a_file_without_tensors(tmp_path):
    save_file({}, tmp_path / "w.safetensors")
    (tmp_path / "list.pth").write_bytes(pickle.dumps([1]))
    for name in ("w.safetensors", "list.pth"):
        with pytest.raises(WeightsError, match=name):
            read(tmp_path / name)


class Writes:
    """Writes a file where somebody unpickles it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("is_zip", [True, False])
def test_what_a_refused_file_names_is_told_and_nothing_of_it_runs(tmp_path, protocol, is_zip):
    content = {
        "model_state_dict": {"a": A},
        "when": datetime.timedelta(days=1),
        "bomb": Writes(tmp_path / "fired"),
    }
    path = tmp_path / "w.pth"
    options = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": is_zip}
    torch.save(content, path, **options)
    held = look(path)
    assert held.names == [
        "datetime.timedelta",
        f"{'builtins' if protocol > 2 else '__builtin__'}.exec",
    ]
    assert held.key == "model_state_dict" and held.is_whole
    assert not held.is_network and not held.is_script
    with pytest.raises(WeightsError, match=r"names datetime\.timedelta, .*exec\)") as caught:
        read(path)
    assert 'checkpoint["model_state_dict"].items()' in str(caught.value)
    assert not (tmp_path / "fired").exists()


def test_the_same_name_out_of_the_pickles_memory(tmp_path):
    """A second class of one module: its name is not written again."""
    content = {"one": datetime.timedelta(days=1), "other": datetime.date(2021, 8, 19)}
    torch.save(content, tmp_path / "w.pth", pickle_protocol=4)
    assert look(tmp_path / "w.pth").names == ["datetime.timedelta", "datetime.date"]


def test_a_file_of_tensors_names_nothing_else(tmp_path):
    content = {"a": A, "b": nn.Parameter(B), "half": A.half(), "args": argparse.Namespace(lr=1)}
    torch.save(content, tmp_path / "w.pth")
    assert look(tmp_path / "w.pth").names == []


def test_a_compiled_network_is_called_so(tmp_path):
    script = torch.jit.trace(nn.Linear(2, 3), torch.zeros(1, 2))
    torch.jit.save(script, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"compiled network \(TorchScript\).*torch\.jit\.load"):
        read(tmp_path / "w.pt")


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_cut_file_is_refused(tmp_path, cut, is_zip):
    content = {"when": datetime.timedelta(days=1), "model": {str(n): A for n in range(30)}}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=is_zip)
    whole = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(WeightsError, match="can run code"):
        read(tmp_path / "w.pth")
    look(tmp_path / "w.pth")


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_formats_of_few_bits_are_read_as_they_are(tmp_path, ending, dtype):
    path = tmp_path / f"w.{ending}"
    (save_file if ending == "safetensors" else torch.save)({"a": A.to(dtype)}, path)
    found = read(path)[""]["a"]
    assert found.dtype == dtype and torch.equal(found.float(), A)
