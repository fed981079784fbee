"""Files of weights from somebody else: read as tensors, or refused with the list of what is odd."""

import pickle
import re

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from sightlines.core.errors import WeightsError
from sightlines.models import timm_building, weight_fitting
from sightlines.models.building import build

TINY = {
    "family": "timm",
    "name": "vit_tiny_patch16_224",
    "arguments": {"depth": 1, "embed_dim": 24, "num_heads": 3},
}
FILE = "vision_transformer"
A_NUMBER = torch.zeros(())


def fit(model, path, file, is_resized=False):
    return weight_fitting.fit(model, path, file, is_resized).state


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


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ("a.txt", "b.safetensors"),
            "is a folder: set `weights` to the file in it, such as b.safe",
        ),
        (("m-1-of-2.bin", "m.bin.index.json"), "in it, such as m.bin.index.json"),
        ((), "in it, of which none is one of weights"),
    ],
)
def test_of_a_folder_the_file_is_named(model, tmp_path, names, said):
    for name in names:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(WeightsError, match=re.escape(said)):
        fit(model, tmp_path, FILE)


def test_one_file_of_several_asks_for_their_index(model, tmp_path):
    path = tmp_path / "model-00001-of-00002.safetensors"
    save_file(altered(model, norm__weight=None), path)
    with pytest.raises(WeightsError, match=r"norm.weight: missing\nIt is one of several files"):
        fit(model, path, FILE)


def test_adapters_are_called_so(model, tmp_path):
    inner = {k.replace(".qkv.", ".qkv.base_layer."): v for k, v in altered(model).items()}
    inner["blocks.0.attn.qkv.lora_A.default.weight"] = torch.zeros(2, 24)
    with pytest.raises(WeightsError, match=r"adapters beside them \(LoRA\): let whoever made it"):
        taken(model, tmp_path, prefixed(inner, "base_model.model."))


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch gives up such tensors
def test_quantised_numbers_are_no_weights(model, tmp_path):
    number = torch.quantize_per_tensor(model.state_dict()["head.weight"], 0.1, 0, torch.qint8)
    with pytest.raises(WeightsError, match=r"head.weight: numbers of the type torch.qint8"):
        taken(model, tmp_path, altered(model, head__weight=number))


def test_a_missing_file_says_where_it_should_lie(model, tmp_path):
    with pytest.raises(WeightsError, match=r"there is no weight file .*SIGHTLINES_DATA"):
        fit(model, tmp_path / "none.safetensors", FILE)


def test_position_embeddings_for_another_size_are_converted_as_timm_does(tmp_path):
    save_file(build(TINY, 64, 10, seed=1).state_dict(), tmp_path / "w.safetensors")
    larger = build(TINY, 96, 10, seed=2)
    found = weight_fitting.fit(larger, tmp_path / "w.safetensors", FILE, is_resized=True)
    assert found.resampled == found.on_card()["resampled"] == ["pos_embed"]
    assert found.state["pos_embed"].shape == larger.pos_embed.shape == (1, 37, 24)


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
    found = weight_fitting.fit(registers, tmp_path / "w.safetensors", FILE, False)
    assert found.state["pos_embed"].shape == (1, 16, 24) and found.resampled == []


def test_what_timm_cannot_convert_is_refused_with_the_list(model, tmp_path):
    deep = build(TINY | {"arguments": TINY["arguments"] | {"reg_tokens": 4}}, 64, 10, seed=0)
    save_file(altered(model), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"(?s)conversion.*reg_token: missing"):
        fit(deep, tmp_path / "w.safetensors", FILE)


def test_names_of_both_sides_are_listed_where_all_differ(model, tmp_path):
    odd = {f"backbone_{name}": tensor for name, tensor in altered(model).items()}
    save_file(odd, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        fit(model, tmp_path / "w.safetensors", FILE)
    text = str(caught.value)
    assert "cls_token: missing" in text and "backbone_blocks.0.attn.proj.bias: unexpected" in text
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
    torch.save({"net": [*altered(model).values()], "accuracy": 1.0}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"with the keys net, accuracy.*state_dict"):
        fit(model, tmp_path / "w.pth", FILE)


def test_torchs_advice_to_trust_a_file_is_not_passed_on(model, tmp_path):
    torch.save({"hook": Bomb(tmp_path / "fired")}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"it names [\w.]*open") as caught:
        fit(model, tmp_path / "w.pth", FILE)
    assert "weights_only" not in str(caught.value) and "\x1b" not in str(caught.value)


def other(model, seed=9):
    """Weights of the same shapes."""
    generator = torch.Generator().manual_seed(seed)
    return {k: torch.randn(v.shape, generator=generator) for k, v in model.state_dict().items()}


def prefixed(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def taken(model, tmp_path, content, **how):
    """What is taken of a torch file, and which of the model's own weights it equals."""
    torch.save(content, tmp_path / "w.pth")
    found = weight_fitting.fit(model, tmp_path / "w.pth", FILE, False, **how)
    is_own = all(torch.equal(found.state[k], v) for k, v in model.state_dict().items())
    return found, is_own


def test_averaged_weights_are_taken_before_trained_ones_and_it_is_said(model, tmp_path):
    content = {"state_dict": other(model), "state_dict_ema": altered(model), "epoch": 0}
    found, is_own = taken(model, tmp_path, content)
    assert is_own and found.weight_set == "state_dict_ema"
    assert found.other_sets == ["state_dict"]
    (said,) = [note for note in found.notes() if "weight_set" in note]
    assert "averaged weights state_dict_ema" in said and "holds state_dict " in said


def test_the_key_chooses_a_set(model, tmp_path):
    content = {"state_dict": altered(model), "state_dict_ema": other(model)}
    found, is_own = taken(model, tmp_path, content, weight_set="state_dict")
    assert is_own and found.on_card()["weight_set"] == "state_dict"
    assert found.on_card()["weight_sets_not_taken"] == ["state_dict_ema"]
    with pytest.raises(WeightsError, match=r"no set of weights 'ema'.*state_dict, state_dict_ema"):
        taken(model, tmp_path, content, weight_set="ema")


@pytest.mark.parametrize("empty", [None, {}])
def test_an_empty_set_is_passed_over(model, tmp_path, empty):
    found, is_own = taken(model, tmp_path, {"model": altered(model), "model_ema": empty})
    assert is_own and found.weight_set == "model" and found.other_sets == []


def test_sets_that_nothing_tells_apart_are_refused_with_their_names(model, tmp_path):
    content = {
        "left": prefixed(other(model), "module.backbone."),
        "right": prefixed(altered(model), "backbone."),
    }
    with pytest.raises(WeightsError, match="weight_set") as caught:
        taken(model, tmp_path, content)
    assert "left.module.backbone, right.backbone" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    for name in ("right", "right.backbone"):
        found, is_own = taken(model, tmp_path, content, weight_set=name)
        assert is_own and (found.wrapper, found.prefix) == ("right", "backbone.")


def test_equal_sets_are_one(model, tmp_path):
    found, is_own = taken(model, tmp_path, {"model": altered(model), "params": altered(model)})
    assert is_own and found.weight_set == "model"
    assert any("equal" in note for note in found.notes())


@pytest.mark.parametrize("wrapper", ["model_state_dict", "net", "student", "network", "weights"])
def test_one_set_under_any_key_is_taken(model, tmp_path, wrapper):
    moments = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}
    content = {wrapper: altered(model), "optimizer": moments, "loss": 0.4}
    found, is_own = taken(model, tmp_path, content)
    assert is_own and found.wrapper == found.weight_set == wrapper


@pytest.mark.parametrize("prefix", ["model.", "backbone.", "encoder.net.", "module.x_1."])
def test_one_prefix_is_taken_off_every_name(model, tmp_path, prefix):
    beside = {"head.mlp.0.weight": torch.zeros(8, 8), "temperature": torch.zeros(())}
    found, is_own = taken(model, tmp_path, prefixed(altered(model), prefix) | beside)
    assert is_own and found.prefix == prefix
    assert found.left_out == found.on_card()["left_out"] == [*beside]
    assert any("head.mlp.0.weight" in note for note in found.notes())


@pytest.mark.parametrize("before", ["", "module.", "model._orig_mod."])
@pytest.mark.parametrize(
    "inside", ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module._orig_mod."]
)
def test_what_torch_leaves_inside_of_names_is_taken_away(model, tmp_path, before, inside):
    state = {
        before + re.sub(r"^(blocks\.\d+\.(attn\.)?)", rf"\1{inside}", name): tensor
        for name, tensor in altered(model).items()
    }
    assert any(inside in name.removeprefix(before) for name in state)
    save_file(state, tmp_path / "w.safetensors")
    found = weight_fitting.fit(model, tmp_path / "w.safetensors", FILE, False)
    assert all(torch.equal(found.state[n], t) for n, t in model.state_dict().items())
    told = sorted(f"{part}." for part in inside.split(".") if part)
    assert found.inside == told and found.prefix == before and not found.left_out
    assert found.on_card()["weights_inside_names"] == told
    assert all(part in " ".join(found.notes()) for part in told)


def test_names_that_would_become_one_stay(model, tmp_path):
    state = altered(model) | {"blocks.0._orig_mod.norm1.weight": torch.ones(24)}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"blocks\.0\._orig_mod\.norm1\.weight: unexpected"):
        fit(model, tmp_path / "w.safetensors", FILE)


def parted(model, head, **changes):
    """A backbone under a prefix, and the last layer beside it by another name."""
    state = altered(model, **changes)
    heads = {f"{head}.{part}": state.pop(f"head.{part}") for part in ("weight", "bias")}
    return {f"backbone.{name}": tensor for name, tensor in state.items()} | heads


def test_a_last_layer_beside_the_backbone_is_taken(model, tmp_path):
    save_file(parted(model, "head"), tmp_path / "w.safetensors")
    found = weight_fitting.fit(model, tmp_path / "w.safetensors", FILE, False)
    assert all(torch.equal(found.state[n], t) for n, t in model.state_dict().items())
    assert found.prefix == "backbone." and not found.left_out
    assert sorted(found.beside) == ["head.bias", "head.weight"]
    assert "the last layer beside it is taken" in " ".join(found.notes())
    assert found.on_card()["weights_beside_prefix"] == found.beside


def test_a_last_layer_of_another_length_beside_the_backbone_says_how_long_it_is(model, tmp_path):
    other = {"head__weight": torch.zeros(7, 24), "head__bias": torch.zeros(7)}
    save_file(parted(model, "head", **other), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"has 7 outputs: set num_classes: 7"):
        fit(model, tmp_path / "w.safetensors", FILE)


def test_a_last_layer_by_another_name_beside_the_backbone_is_called_so(model, tmp_path):
    save_file(parted(model, "fc"), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        fit(model, tmp_path / "w.safetensors", FILE)
    text = str(caught.value)
    assert "(fc.weight, 10 outputs): set num_classes: 0" in text and "call it head" in text
    assert "no last layer" not in text
    headless = build(TINY, 64, 0, seed=3)
    found = weight_fitting.fit(headless, tmp_path / "w.safetensors", FILE, False)
    assert sorted(found.left_out) == ["fc.bias", "fc.weight"]


@pytest.mark.parametrize(
    "name",
    "vgg11 mobilenet_v2 mobilenet_v3_small convnext_tiny efficientnet_b0 swin_t regnet_x_400mf "
    "shufflenet_v2_x0_5 maxvit_t".split(),
)
@pytest.mark.whole
def test_torchvisions_names_are_called_so(model, tmp_path, name):
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        own = torchvision.models.get_model(name)
    names = [n for n, t in own.state_dict().items() if t.dim()]
    save_file({n: torch.zeros(1) for n in names}, tmp_path / "w.safetensors")
    timms = (
        model if name != "vgg11" else build({**TINY, "name": "vgg11", "arguments": {}}, 32, 3, 0)
    )
    with pytest.raises(WeightsError, match=r"of torchvision, not timm's: set family: torchvision"):
        fit(timms, tmp_path / "w.safetensors", FILE if name != "vgg11" else "vgg")


def test_two_networks_in_one_set_are_told_apart_by_their_prefixes(model, tmp_path):
    both = prefixed(altered(model), "net.") | prefixed(other(model), "critic.")
    with pytest.raises(WeightsError, match=r"weight_set.*net, critic"):
        taken(model, tmp_path, both)
    assert taken(model, tmp_path, both, weight_set="net")[1]
    averaged = prefixed(other(model), "net.") | prefixed(altered(model), "net_ema.")
    assert taken(model, tmp_path, averaged)[1]


def test_averaged_weights_beside_the_trained_ones_without_a_prefix(model, tmp_path):
    found, is_own = taken(model, tmp_path, other(model) | prefixed(altered(model), "ema."))
    assert is_own and found.weight_set == "ema"
    assert found.other_sets == [weight_fitting.TOP]
    both = altered(model) | prefixed(other(model), "ema.")
    found, is_own = taken(model, tmp_path, both, weight_set=weight_fitting.TOP)
    assert is_own and (found.weight_set, found.other_sets) == ("", ["ema"])


def test_a_form_that_timm_converts_as_a_whole_is_not_cut_at_a_prefix(model, tmp_path):
    """As OpenCLIP has it: the last layer lies outside of the trunk, without a bias."""
    theirs = prefixed(altered(model, head__weight=None, head__bias=None), "visual.trunk.")
    theirs |= {"visual.head.proj.weight": altered(model)["head.weight"], "logit_scale": A_NUMBER}
    found, _ = taken(model, tmp_path, theirs)
    own = altered(model, head__bias=torch.zeros(10))
    assert all(torch.equal(found.state[name], tensor) for name, tensor in own.items())
    assert (found.prefix, found.left_out, found.other_sets) == (
        "",
        ["logit_scale"],
        [],
    )


def test_what_a_backbone_lacks_has_one_cure(model, tmp_path):
    body = {k: v for k, v in altered(model).items() if not k.startswith("head.")}
    with pytest.raises(WeightsError, match="no last layer: set num_classes: 0") as caught:
        taken(model, tmp_path, {"teacher": prefixed(body, "backbone.")})
    assert "teacher.backbone" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 4
    found, _ = taken(build(TINY, 64, 0, seed=4), tmp_path, {"teacher": prefixed(body, "backbone.")})
    assert found.state.keys() == body.keys()
    assert all(torch.equal(found.state[name], tensor) for name, tensor in body.items())


def test_another_last_layer_says_how_long_it_is(model, tmp_path):
    save_file(build(TINY, 64, 7, seed=0).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="set num_classes: 7"):
        fit(model, tmp_path / "w.safetensors", FILE)


def test_names_of_transformers_are_called_so(model, tmp_path):
    theirs = {
        "vit.embeddings.cls_token": torch.zeros(1, 1, 8),
        "vit.encoder.layer.0.attention.attention.query.weight": torch.zeros(8, 8),
    }
    with pytest.raises(WeightsError, match=r"transformers.*set weights to hub"):
        taken(model, tmp_path, theirs)


SWIN = {
    "family": "timm",
    "name": "swin_tiny_patch4_window7_224",
    "arguments": {"embed_dim": 12, "depths": [1, 2, 1, 1], "num_heads": [1, 1, 2, 2]},
}


def as_swins_authors_name_it(model):
    """Downsampling belongs to the stage before, the head is `head`, and buffers are kept."""
    found = {}
    for name, tensor in model.state_dict().items():
        stage = re.match(r"layers\.(\d)\.downsample", name)
        if stage:
            name = name.replace(f"layers.{stage[1]}", f"layers.{int(stage[1]) - 1}", 1)
        found[name.replace("head.fc.", "head.")] = tensor
    found["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49)
    found["layers.1.blocks.1.attn_mask"] = torch.zeros(4, 49, 49)
    return found


def test_a_tensor_that_moved_is_not_one_of_another_size(tmp_path):
    swin = build(SWIN, 224, 10, seed=3)
    torch.save({"model": as_swins_authors_name_it(swin)}, tmp_path / "w.pth")
    found = weight_fitting.fit(swin, tmp_path / "w.pth", "swin_transformer", False)
    assert found.resampled == []
    assert all(torch.equal(found.state[k], v) for k, v in swin.state_dict().items())
    swapped = swin.state_dict()["layers.1.downsample.norm.weight"].shape
    assert swapped != swin.state_dict()["layers.2.downsample.norm.weight"].shape


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_swin_of_another_window_is_still_refused(tmp_path):
    swin = build(SWIN, 224, 10, seed=3)
    theirs = as_swins_authors_name_it(swin)
    name = "layers.0.blocks.0.attn.relative_position_bias_table"
    torch.save({"model": theirs | {name: torch.randn(121, 1)}}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=f"(?s){re.escape(name)}: shape.*size_px"):
        weight_fitting.fit(swin, tmp_path / "w.pth", "swin_transformer", False)
    found = weight_fitting.fit(swin, tmp_path / "w.pth", "swin_transformer", True)
    assert found.resampled == [name]


def test_weights_for_grey_images_see_the_luminance_of_colour_ones(tmp_path):
    """One mean and deviation for all channels: the two networks say the same, but for rounding."""
    grey = timm_building.build(TINY, 64, 10)
    with torch.no_grad():
        colour = build(TINY, 64, 10, seed=1)
        own = grey.state_dict()
        own["patch_embed.proj.weight"] = own["patch_embed.proj.weight"][:, :1].clone()
        save_file(own, tmp_path / "w.safetensors")
        with pytest.raises(WeightsError, match=re.escape("arguments: {in_chans: 1}")):
            fit(colour, tmp_path / "w.safetensors", FILE)
        path = tmp_path / "w.safetensors"
        found = weight_fitting.fit(colour, path, FILE, False, is_grey=True)
        colour.load_state_dict(found.state)
        pixels = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        level = np.asarray(Image.fromarray(pixels).convert("L")) / 255
        seen = torch.from_numpy((pixels / 255 - 0.5) / 0.25).float().permute(2, 0, 1)[None]
        grey_map = functional.conv2d(
            torch.from_numpy((level - 0.5) / 0.25).float()[None, None],
            own["patch_embed.proj.weight"],
            own["patch_embed.proj.bias"],
            stride=16,
        )
        colour_map = colour.patch_embed.proj(seen)
    # A level is off by at most half of 1 / 255 / 0.25; its weights sum up to `most`.
    most = own["patch_embed.proj.weight"].abs().sum((1, 2, 3)).max().item()
    assert (grey_map - colour_map).abs().max() <= 0.51 / 255 / 0.25 * most
    assert (grey_map - colour_map).abs().max() < 0.05 * grey_map.abs().max()
    assert any("luminance" in note for note in found.notes())


def test_weights_for_three_channels_are_none_for_one(model, tmp_path):
    save_file(altered(model), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"patch_embed.proj.weight: 3 channels.*in_chans"):
        weight_fitting.fit(model, tmp_path / "w.safetensors", FILE, False, is_grey=True)


@pytest.mark.parametrize("count", [torch.tensor(0.999), torch.tensor(7)])
def test_what_averaging_counts_beside_its_weights_is_left_out(model, tmp_path, count):
    content = {"model": other(model), "ema": altered(model) | {"decay": count}}
    fitted, is_own = taken(model, tmp_path, content)
    assert is_own and fitted.weight_set == "ema" and fitted.left_out == ["decay"]


def test_tensors_without_entries_of_their_own_are_no_weights(model, tmp_path):
    name = next(iter(model.state_dict()))
    odd = model.state_dict() | {name: torch.zeros(2, 2).to_sparse()}
    with pytest.raises(WeightsError, match=re.escape(name)):
        taken(model, tmp_path, odd)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (
            b"\n<!DOCTYPE html><html><title>Sign in</title>",
            "is a page of the web, .* fetch it again",
        ),
    ],
)
def test_what_is_no_weights_yet_is_called_so(model, tmp_path, ending, content, said):
    path = tmp_path / f"w.{ending}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"w\.{ending}.*{said}"):
        weight_fitting.fit(model, path, FILE, False)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_numbers_of_few_bits_become_the_models(model, tmp_path, ending, name):
    own = {k: v.to(getattr(torch, name)) for k, v in altered(model).items()}
    (save_file if ending == "safetensors" else torch.save)(own, tmp_path / f"w.{ending}")
    fitted = weight_fitting.fit(model, tmp_path / f"w.{ending}", FILE, False)
    assert all(torch.equal(fitted.state[k], v.float()) for k, v in own.items())
    assert fitted.numbers == [name] == fitted.on_card()["weights_numbers"]


def test_numbers_of_8_bits_are_resampled_as_numbers_of_32(tmp_path):
    small = build(TINY, 64, 10, seed=1).state_dict()
    torch.save({k: v.to(torch.float8_e4m3fn) for k, v in small.items()}, tmp_path / "w.pth")
    found = weight_fitting.fit(build(TINY, 96, 10, seed=2), tmp_path / "w.pth", FILE, True)
    places = found.state["pos_embed"][:, 1:]
    assert found.resampled == ["pos_embed"]
    assert not torch.equal(places, places.to(torch.float8_e4m3fn).float())


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("scale", ["weight_scale", "scale_weight"])
def test_numbers_of_8_bits_with_a_scale_beside_them_are_refused(model, tmp_path, prefix, scale):
    """One scale a tensor, a tensor without an axis, is not passed over as a count would be."""
    state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    for name in [name for name in state if name.endswith("mlp.fc1.weight")]:
        size = state[name].abs().max() / 448
        state[name] = (state[name] / size).to(torch.float8_e4m3fn)
        state[name.removesuffix("weight") + scale] = size
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=rf"scales beside them .*mlp\.fc1\.{scale}.* float16"):
        fit(model, tmp_path / "w.pth", FILE, False)


def test_whole_numbers_are_no_weights(model, tmp_path):
    odd = altered(model) | {"head.weight": torch.ones(10, 24, dtype=torch.int8)}
    torch.save(odd, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"head.weight: numbers of the type torch.int8, whose"):
        fit(model, tmp_path / "w.pth", FILE)


def deeper(**arguments):
    return build(TINY | {"arguments": TINY["arguments"] | arguments}, 64, 10, seed=3)


def said_of(file, model, tmp_path):
    save_file(altered(file), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        fit(model, tmp_path / "w.safetensors", FILE)
    return str(caught.value).splitlines()


def test_what_explains_most_misfits_comes_first(tmp_path):
    shallow, deep = deeper(depth=2), deeper(depth=9, init_values=0.1, num_heads=3)
    said = said_of(deep, shallow, tmp_path)
    assert said[1] == "  blocks.*: 9 in the file, 2 in the model (98 tensors)"
    assert "LayerScale: only the file has them (arguments: {init_values: 1.0e-5})" in said[2]
    assert said[3].startswith("  blocks.0.ls1.gamma: unexpected (and 8 of other blocks)") or any(
        "(and 8 of other blocks)" in line for line in said
    )
    wide = said_of(deeper(embed_dim=48), deeper(), tmp_path)
    assert wide[1].startswith("  48 in the file is 24 in the model, in ")
    assert len(wide) < 12


def test_both_sides_are_listed_the_longer_one_first(model, tmp_path):
    odd = altered(model, norm__weight=None, norm__bias=None) | {"x": A_NUMBER}
    save_file(odd, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        fit(model, tmp_path / "w.safetensors", FILE)
    kinds = [line.partition(": ")[2] for line in str(caught.value).splitlines()[1:-1]]
    assert kinds == ["missing", "missing", "unexpected"]


def test_a_part_by_other_names_is_told_in_one_line(tmp_path):
    scaled = TINY | {"arguments": TINY["arguments"] | {"depth": 2, "init_values": 0.1}}
    own = build(scaled, 64, 10, seed=1)
    state = {re.sub(r"ls(\d)\.gamma", r"x.gamma_\1", n): t for n, t in own.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        fit(own, tmp_path / "w.safetensors", FILE)
    told = [line for line in str(caught.value).splitlines() if "LayerScale" in line]
    assert told == [
        "  LayerScale: on both sides by other names (blocks.0.x.gamma_1 in the file, "
        "blocks.0.ls1.gamma in the model)"
    ]


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_numbers_that_are_not_finite_have_a_cure_of_their_own(model, tmp_path, number):
    odd = altered(model, norm__bias=torch.full((24,), number))
    save_file(odd, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="not finite\nThe training diverged, or the file is dam"):
        fit(model, tmp_path / "w.safetensors", FILE)


def test_a_last_layer_that_is_not_whole_is_not_told_its_own_length(model, tmp_path):
    save_file(altered(model, head__bias=None), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"Its last layer is not whole.* drop: \[head\]"):
        fit(model, tmp_path / "w.safetensors", FILE)
