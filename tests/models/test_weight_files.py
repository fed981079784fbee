"""Files of weights from somebody else: read as tensors, or refused with the list of what is odd."""

import pickle
import re

import pytest
import torch
from safetensors.torch import save_file

from sightlines.errors import WeightsError
from sightlines.models import weight_files
from sightlines.models.building import build

TINY = {
    "family": "timm",
    "name": "vit_tiny_patch16_224",
    "arguments": {"depth": 1, "embed_dim": 24, "num_heads": 3},
}
FILE = "vision_transformer"


def fit(model, path, file, is_resized=False):
    return weight_files.fit(model, path, file, is_resized)[0]


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
    found, resampled = weight_files.fit(larger, tmp_path / "w.safetensors", FILE, is_resized=True)
    assert resampled == ["pos_embed"]
    assert found["pos_embed"].shape == larger.pos_embed.shape == (1, 37, 24)


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("patch_embed.proj.weight", (24, 3, 32, 32), (24, 3, 16, 16)),
        ("pos_embed", (1, 50, 24), (1, 17, 24)),
        ("pos_embed", (1, 23, 24), (1, 17, 24)),
    ],
)
def test_no_other_size_is_taken_unless_the_config_asks(model, tmp_path, name, shape, wanted):
    odd = altered(model) | {name: torch.randn(shape)}
    save_file(odd, tmp_path / "w.safetensors")
    said = f"{name}: shape {shape} instead of {wanted}"
    with pytest.raises(WeightsError, match=re.escape(said)):
        fit(model, tmp_path / "w.safetensors", FILE)


def test_prefix_tokens_that_timm_takes_from_places_are_no_other_size(tmp_path):
    """As in DINOv2 with registers, whose file has a place for the class token and timm none."""
    arguments = TINY["arguments"] | {"reg_tokens": 1, "no_embed_class": True}
    registers = build(TINY | {"arguments": arguments}, 64, 10, seed=3)
    theirs = altered(registers, reg_token=None) | {"mask_token": torch.zeros(1, 24)}
    theirs |= {"pos_embed": torch.randn(1, 17, 24), "register_tokens": torch.zeros(1, 1, 24)}
    save_file(theirs, tmp_path / "w.safetensors")
    found, resampled = weight_files.fit(registers, tmp_path / "w.safetensors", FILE, False)
    assert found["pos_embed"].shape == (1, 16, 24) and resampled == []


def test_what_timm_cannot_convert_is_refused_with_the_list(model, tmp_path):
    deep = build(TINY | {"arguments": TINY["arguments"] | {"reg_tokens": 4}}, 64, 10, seed=0)
    save_file(altered(model), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"(?s)conversion.*reg_token: missing"):
        fit(deep, tmp_path / "w.safetensors", FILE)


def test_names_of_both_sides_are_listed_where_all_differ(model, tmp_path):
    odd = {f"backbone.{name}": tensor for name, tensor in altered(model).items()}
    save_file(odd, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        fit(model, tmp_path / "w.safetensors", FILE)
    text = str(caught.value)
    assert "cls_token: missing" in text and "backbone.cls_token: unexpected" in text
    assert "more: missing" in text and "more: unexpected" in text


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "module._orig_mod."])
def test_what_torch_puts_before_names_is_taken_away(model, tmp_path, ending, prefix):
    path = tmp_path / f"w{ending}"
    save = save_file if ending == ".safetensors" else torch.save
    save({prefix + name: tensor for name, tensor in altered(model).items()}, path)
    assert fit(model, path, FILE).keys() == model.state_dict().keys()


def test_a_file_of_another_kind_than_its_ending_says_so(model, tmp_path):
    save_file(altered(model), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"is a safetensors file: give it the ending"):
        fit(model, tmp_path / "w.pth", FILE)


def test_the_keys_of_an_unknown_wrapping_are_named(model, tmp_path):
    torch.save({"net": altered(model), "accuracy": 1.0}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"with the keys net, accuracy.*state_dict"):
        fit(model, tmp_path / "w.pth", FILE)


def test_torchs_advice_to_trust_a_file_is_not_passed_on(model, tmp_path):
    torch.save({"hook": Bomb(tmp_path / "fired")}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"it names [\w.]*open") as caught:
        fit(model, tmp_path / "w.pth", FILE)
    assert "weights_only" not in str(caught.value) and "\x1b" not in str(caught.value)
