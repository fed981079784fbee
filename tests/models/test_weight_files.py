"""Files of weights from somebody else: read as tensors, or refused with the list of what is odd."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from sightlines.errors import WeightsError
from sightlines.models.building import build
from sightlines.models.weight_files import fit

TINY = {
    "family": "timm",
    "name": "vit_tiny_patch16_224",
    "arguments": {"depth": 1, "embed_dim": 24, "num_heads": 3},
}
FILE = "vision_transformer"


@pytest.fixture(scope="module")
def model():
    return build(TINY, 64, 10, seed=3)


def altered(model, **changes):
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_weights_come_back_bit_for_bit(model, tmp_path, ending):
    path = tmp_path / f"weights{ending}"
    save = save_file if ending == ".safetensors" else torch.save
    save(altered(model), path)
    found = fit(build(TINY, 64, 10, seed=4), path, FILE)
    assert all(torch.equal(found[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("wrap", ["state_dict", "model", "state_dict_ema"])
def test_training_scripts_wrappings_are_opened(model, tmp_path, wrap):
    state = {f"module.{k}": v for k, v in altered(model).items()}
    torch.save({wrap: state, "epoch": 300}, tmp_path / "w.pth.tar")
    assert fit(model, tmp_path / "w.pth.tar", FILE).keys() == model.state_dict().keys()


def test_half_precision_becomes_float32(model, tmp_path):
    save_file({k: v.bfloat16() for k, v in altered(model).items()}, tmp_path / "w.safetensors")
    found = fit(model, tmp_path / "w.safetensors", FILE)
    assert {v.dtype for v in found.values()} == {torch.float32}


def test_all_that_does_not_fit_is_listed(model, tmp_path):
    odd = altered(
        model,
        norm__weight=None,
        head__bias=torch.zeros(7),
        extra=torch.zeros(1),
        norm__bias=torch.full((24,), torch.nan),
    )
    save_file(odd, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        fit(model, tmp_path / "w.safetensors", FILE)
    text = str(caught.value)
    for line in (
        "norm.weight: missing",
        "extra: unexpected",
        "head.bias: shape (7,) instead of (10,)",
        "norm.bias: holds numbers that are not finite",
    ):
        assert line in text, text


def test_weights_of_another_model_are_refused(tmp_path):
    other = build({"family": "timm", "name": "mobilenetv2_035"}, 64, 10, seed=0)
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit|another model"):
        fit(build(TINY, 64, 10, seed=0), tmp_path / "w.safetensors", FILE)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_file_that_would_run_code_is_refused_and_runs_none(model, tmp_path):
    fired = tmp_path / "fired"
    torch.save({"state_dict": altered(model), "hook": Bomb(fired)}, tmp_path / "w.pth")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(fired)))
    for name in ("w.pth", "plain.pt"):
        with pytest.raises(WeightsError, match="can run code"):
            fit(model, tmp_path / name, FILE)
    assert not fired.exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{", "no whole safetensors"),
        ("empty.pth", b"", "damaged"),
        ("weights.h5", b"x", "no kind of weight file"),
    ],
)
def test_damaged_and_unknown_files(model, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        fit(model, tmp_path / name, FILE)


def test_a_missing_file_says_where_it_should_lie(model, tmp_path):
    with pytest.raises(WeightsError, match=r"there is no weight file .*SIGHTLINES_DATA"):
        fit(model, tmp_path / "none.safetensors", FILE)


def test_position_embeddings_for_another_size_are_converted_as_timm_does(tmp_path):
    save_file(build(TINY, 64, 10, seed=1).state_dict(), tmp_path / "w.safetensors")
    larger = build(TINY, 96, 10, seed=2)
    found = fit(larger, tmp_path / "w.safetensors", FILE)
    assert found["pos_embed"].shape == larger.pos_embed.shape == (1, 37, 24)
