"""Weights in several files beside an index: joined, and never read from anywhere else."""

import json

import pytest
import torch
from safetensors.torch import save_file

from sightlines.core.errors import MissingSourceError, WeightsError
from sightlines.core.file_hashes import UNREADABLE
from sightlines.models import timm_facts, weight_fitting, weight_shards
from sightlines.models.weight_files import read

INDEX = "model.safetensors.index.json"
A, B, C = torch.arange(3.0), torch.arange(5.0), torch.ones(2, 2)
SHARDS = {"model-00001-of-00002.safetensors": ["a", "b"], "model-00002-of-00002.safetensors": ["c"]}
TENSORS = {"a": A, "b": B, "c": C}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two files and their index, in `weights/`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    for file, names in SHARDS.items():
        save_file({name: TENSORS[name] for name in names}, tmp_path / "weights" / file)
    write_index(tmp_path, {name: file for file, names in SHARDS.items() for name in names})
    return tmp_path


def write_index(folder, weight_map):
    content = {"metadata": {"total_size": 48}, "weight_map": weight_map}
    (folder / "weights" / INDEX).write_text(json.dumps(content))


def test_files_are_joined_as_the_index_has_them(folder):
    found = read(folder / "weights" / INDEX)
    assert found.keys() == {""}
    assert {name: tensor.tolist() for name, tensor in found[""].items()} == {
        name: tensor.tolist() for name, tensor in TENSORS.items()
    }


def test_they_are_one_set_of_weights_of_a_model(folder):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    files = {"one.safetensors": [*state][:1], "two.safetensors": [*state][1:]}
    for file, names in files.items():
        save_file({name: state[name] for name in names}, folder / "weights" / file)
    write_index(folder, {name: file for file, names in files.items() for name in names})
    fitted = weight_fitting.fit(model, folder / "weights" / INDEX, "", False)
    assert fitted.prefix == "module."
    assert all(torch.equal(fitted.state[n], t) for n, t in model.state_dict().items())


@pytest.mark.parametrize(
    "name",
    [
        "../secret.safetensors",
        "/etc/passwd",
        "more/model.safetensors",
        "..\\secret.safetensors",
        "C:\\secret.safetensors",
        "..",
        "",
        "a\0.safetensors",
        INDEX,
    ],
)
def test_an_index_names_files_beside_itself_alone(folder, name):
    save_file({"a": A}, folder / "secret.safetensors")
    write_index(folder, {"a": name})
    for look in (
        lambda: read(folder / "weights" / INDEX),
        lambda: weight_shards.identity(folder, f"weights/{INDEX}"),
        lambda: weight_shards.digest(folder, f"weights/{INDEX}"),
    ):
        with pytest.raises(WeightsError, match="beside it"):
            look()


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "[" * 100_000]
)
def test_what_is_no_index_is_said(folder, content):
    (folder / "weights" / INDEX).write_text(content)
    with pytest.raises(WeightsError, match=r"index\.json .*(no index of weight|names no tensor)"):
        read(folder / "weights" / INDEX)


def test_files_and_index_that_do_not_belong_together(folder):
    save_file({"a": A, "other": B}, folder / "weights" / "model-00001-of-00002.safetensors")
    with pytest.raises(WeightsError, match=r"differ by b, other"):
        read(folder / "weights" / INDEX)


def test_a_change_of_any_file_is_another_identity(folder):
    name = f"weights/{INDEX}"
    before = weight_shards.identity(folder, name)
    assert before == weight_shards.digest(folder, name)
    save_file({"c": C + 1}, folder / "weights" / "model-00002-of-00002.safetensors")
    after = weight_shards.identity(folder, name)
    assert before != after == weight_shards.digest(folder, name)


def test_a_single_file_has_the_identity_that_it_had(folder):
    from sightlines.core.files import sha256

    name = "weights/model-00001-of-00002.safetensors"
    assert weight_shards.identity(folder, name) == sha256(folder / name)
    assert weight_shards.digest(folder, name) == sha256(folder / name)
    assert weight_shards.identity(folder, "weights/none.pth") == UNREADABLE
    assert weight_shards.digest(folder, "weights/none.pth") == ""


def test_a_missing_file_is_named_before_anything_runs(folder):
    gone = "model-00002-of-00002.safetensors"
    (folder / "weights" / gone).unlink()
    settings = {"name": "resnet18", "weights": f"weights/{INDEX}"}
    with pytest.raises(MissingSourceError, match=f"of its 2 files weights/{gone} are missing"):
        timm_facts.weights_identity(settings, str(folder))
    assert weight_shards.digest(folder, f"weights/{INDEX}") == ""
    with pytest.raises(WeightsError, match=f"{INDEX}: of its 2 files {gone} are missing. Put"):
        read(folder / "weights" / INDEX)
