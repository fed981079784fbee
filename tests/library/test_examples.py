"""The example scripts run as their first lines say."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import timm
from safetensors.torch import save_file
from tests.library.test_library import folder_of

import sightlines as sl

pytestmark = pytest.mark.whole

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def run(name, *words):
    path = EXAMPLES / f"{name}.py"
    runpy.run_path(str(path))["main"](*map(str, words))
    return path.read_text()


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("resnet18", "test_vit"):
        save_file(timm.create_model(name).state_dict(), f"{name}.safetensors")
    return folder_of(tmp_path / "photographs", 12)


def test_two_networks(weights, capsys):
    words = ("test_vit", "test_vit.safetensors", "resnet18", "resnet18.safetensors")
    run("two_networks", weights, *words)
    assert "cka_se" in capsys.readouterr().out
    assert Path("similarity.png").stat().st_size > 5000 and Path("similarity.parquet").is_file()


def test_own_measure(weights, capsys):
    run("own_measure", weights, "test_vit", "test_vit.safetensors")
    assert "directions" in capsys.readouterr().out


def test_the_number_of_directions_is_that_of_the_eigenvalues():
    module = runpy.run_path(str(EXAMPLES / "own_measure.py"))
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    network = sl.load("test_vit", weights="random", size_px=32)
    grams = sl.grams(network, sl.images(pixels, minibatch=16))
    packed = np.asarray(grams.dump.packed(0)[0], np.float64)
    gram = np.zeros((16, 16))
    gram[np.triu_indices(16)] = packed
    values = np.linalg.eigvalsh(gram + np.triu(gram, 1).T)
    assert module["directions"](grams)[0] == pytest.approx(values.sum() ** 2 / (values**2).sum())


def test_each_example_says_how_it_is_called():
    for path in EXAMPLES.glob("*.py"):
        assert f"python docs/examples/{path.name}" in path.read_text(), path
