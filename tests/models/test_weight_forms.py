"""Weights in the forms in which their authors publish them: what is loaded computes the same."""

import argparse
import itertools
import math

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional

from sightlines.core.errors import WeightsError
from sightlines.models import weight_fitting
from sightlines.models.weight_forms import resampled
from tests.models.public import images_of, randomised

VIT = "vision_transformer"
SIDE_PX = 32


def vit(seed=3, **changes):
    sizes = {"img_size": SIDE_PX, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
    torch.manual_seed(seed)
    made = timm.models.vision_transformer.VisionTransformer(**sizes | {"num_classes": 0} | changes)
    made.pretrained_cfg = {"classifier": "head", "first_conv": "patch_embed.proj"}
    return randomised(made, seed)


def tensors(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def behind(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def noise(state, seed=9):
    generator = torch.Generator().manual_seed(seed)
    return {k: torch.randn(v.shape, generator=generator) for k, v in state.items()}


def layers(name, *sizes):
    """Weights of dense layers one after the other, as heads have them."""
    pairs = enumerate(itertools.pairwise(sizes))
    return {f"{name}.{2 * i}.weight": torch.randn(out, own) for i, (own, out) in pairs}


def loaded(tmp_path, content, model, file=VIT, is_resized=False, **how):
    """A model with what a file of this content holds for it, and what was done to the weights."""
    torch.save(content, tmp_path / "w.pth")
    fitted = weight_fitting.fit(model, tmp_path / "w.pth", file, is_resized, **how)
    model.load_state_dict(fitted.state)
    return model.eval(), fitted


@torch.no_grad()
def same(a, b, size_px=SIDE_PX, pick=lambda output: output):
    images = images_of(size_px)
    return torch.equal(pick(a(images)), pick(b(images)))


def test_dino_the_teacher_of_a_whole_checkpoint(tmp_path):
    own = vit()
    head = {
        **behind("head.", layers("mlp", 24, 40, 40, 16)),
        "head.last_layer.weight_g": torch.ones(50, 1),
        "head.last_layer.weight_v": torch.randn(50, 16),
    }
    content = {
        "student": behind("module.", behind("backbone.", noise(tensors(own))) | head),
        "teacher": behind("backbone.", tensors(own)) | head,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []},
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_small"),
        "dino_loss": {"center": torch.zeros(1, 50)},
    }
    found, fitted = loaded(tmp_path, content, vit(seed=4))
    assert same(found, own)
    assert fitted.weight_set == "teacher.backbone"
    assert fitted.other_sets == ["student.module.backbone"]
    assert {*fitted.left_out} == {*head}
    found, fitted = loaded(tmp_path, content, vit(seed=4), weight_set="student")
    assert not same(found, own) and fitted.wrapper == "student"


def test_mae_without_its_decoder(tmp_path):
    own = vit()
    decoder = {
        "mask_token": torch.randn(1, 1, 16),
        "decoder_pos_embed": torch.randn(1, 17, 16),
        "decoder_embed.weight": torch.randn(16, 24),
        "decoder_embed.bias": torch.randn(16),
        **behind("decoder_", {n: t[..., :16] for n, t in tensors(own).items() if "blocks.0" in n}),
        "decoder_norm.weight": torch.ones(16),
        "decoder_pred.weight": torch.randn(192, 16),
    }
    found, fitted = loaded(tmp_path, {"model": tensors(own) | decoder}, vit(seed=4))
    assert same(found, own)
    assert {*fitted.left_out} == {*decoder} == {*fitted.on_card()["left_out"]}
    assert "decoder_" in " ".join(fitted.notes())


def moco(own, head):
    base, momentum = tensors(own) | head, noise(tensors(own) | head)
    state = behind("module.base_encoder.", base) | behind("module.momentum_encoder.", momentum)
    state |= behind("module.", layers("predictor", 16, 40, 16))
    return {"epoch": 300, "arch": "vit_small", "state_dict": state, "scaler": {"scale": 65536.0}}


def test_moco_v3_drops_the_projector_where_the_config_asks(tmp_path):
    own, head = vit(), layers("head", 24, 40, 40, 16)
    with pytest.raises(WeightsError, match="drop: \\[head\\]"):
        loaded(tmp_path, moco(own, head), vit(seed=4))
    found, fitted = loaded(tmp_path, moco(own, head), vit(seed=4), drop=["head"])
    assert same(found, own)
    assert fitted.weight_set == "state_dict.module.base_encoder"
    assert fitted.other_sets == ["state_dict.module.momentum_encoder"]
    assert {*fitted.left_out} >= {*behind("module.base_encoder.", head)}


def test_moco_v3_as_a_resnet(tmp_path):
    own = randomised(timm.create_model("test_resnet", num_classes=0))
    head = layers("fc", own.num_features, 40, 16)
    new = timm.create_model("test_resnet", num_classes=0)
    found, fitted = loaded(tmp_path, moco(own, head), new, "resnet", drop=["head"])
    assert same(found, own)
    assert fitted.prefix == "module.base_encoder."


def test_a_last_layer_of_another_length_is_dropped_on_request_and_named(tmp_path):
    own = vit(num_classes=7)
    with pytest.raises(WeightsError, match=r"last layer has 7 outputs: set num_classes: 7"):
        loaded(tmp_path, tensors(own), vit(seed=4, num_classes=10))
    found, fitted = loaded(tmp_path, tensors(own), vit(seed=4), drop=["head"])
    assert fitted.left_out == ["head.weight", "head.bias"]
    assert same(found, own, pick=lambda out: out[:, :0]) and torch.equal(
        found(images_of(SIDE_PX)), own.forward_head(own.forward_features(images_of(SIDE_PX)), True)
    )


def test_names_that_the_config_drops(tmp_path):
    own = vit()
    content = tensors(own) | {"projector.weight": torch.zeros(3), "temperature": torch.zeros(())}
    with pytest.raises(WeightsError, match=r"projector\.weight: unexpected"):
        loaded(tmp_path, content, vit(seed=4))
    found, fitted = loaded(tmp_path, content, vit(seed=4), drop=["projector", "temp"])
    assert same(found, own) and fitted.left_out == ["projector.weight", "temperature"]


def beit(seed=3, **changes):
    sizes = {"img_size": SIDE_PX, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
    options = {"num_classes": 5, "init_values": 0.1, "use_abs_pos_emb": False}
    made = timm.models.beit.Beit(**sizes | options | {"use_rel_pos_bias": True} | changes)
    return randomised(made, seed)


def indices(state):
    places = [name.removesuffix("_bias_table") + "_index" for name in state if "bias_table" in name]
    return {name: torch.zeros(17, 17, dtype=torch.long) for name in places}


def test_beit_fine_tuned(tmp_path):
    own = beit()
    content = {"model": tensors(own) | indices(tensors(own))}
    found, fitted = loaded(tmp_path, content, beit(seed=4), "beit")
    assert same(found, own) and "blocks.0.attn.relative_position_index" in fitted.left_out


def test_beit_from_pre_training_has_one_table_for_all_blocks(tmp_path):
    headless = {"num_classes": 0, "global_pool": "token"}
    own, table = beit(**headless), None
    state = tensors(own)
    for name in [n for n in state if n.endswith("relative_position_bias_table")]:
        table = state.pop(name) if table is None else (state.pop(name), table)[1]
    shared = {"rel_pos_bias.relative_position_bias_table": table}
    for block in own.blocks:
        block.attn.relative_position_bias_table.data.copy_(table)
    beside = {"mask_token": torch.zeros(1, 1, 24), "lm_head.weight": torch.zeros(9, 24)}
    content = {"model": state | shared | indices(shared) | beside}
    found, fitted = loaded(tmp_path, content, beit(seed=4, **headless), "beit")
    assert same(found, own)
    assert {*fitted.left_out} == {*beside, *indices(shared)}


def dinov2(seed=3, side_px=SIDE_PX, **changes):
    return vit(seed, img_size=side_px, init_values=0.1, **changes)


def test_dinov2_of_37_times_37_positions(tmp_path):
    """Its published files: 518 px in patches of 14, brought to another grid."""
    own = dinov2(side_px=518, patch_size=14)
    content = tensors(own) | {"mask_token": torch.zeros(1, 24)}
    assert content["pos_embed"].shape == (1, 1370, 24)
    found, fitted = loaded(tmp_path, content, dinov2(4, side_px=518, patch_size=14))
    assert same(found, own, size_px=518) and fitted.left_out == ["mask_token"]
    small = dinov2(4, side_px=224, patch_size=14)
    with pytest.raises(WeightsError, match=r"(?s)pos_embed.*size_px"):
        loaded(tmp_path, content, small)
    found, fitted = loaded(tmp_path, content, small, is_resized=True, positions="dino")
    assert fitted.resampled == ["pos_embed"] and "(dino)" in " ".join(fitted.notes())
    assert torch.equal(found.pos_embed.detach(), as_dinos_code_does(own.pos_embed, 16))


def test_dinov2_from_training_has_blocks_in_chunks(tmp_path):
    own = dinov2(depth=4)
    state = {}
    for name, tensor in tensors(own).items():
        kind, _, rest = name.partition(".")
        chunk = int(rest.partition(".")[0]) // 2 if kind == "blocks" else 0
        state[f"blocks.{chunk}.{rest}" if kind == "blocks" else name] = tensor
    assert "blocks.1.3.norm1.weight" in state
    state |= {"mask_token": torch.zeros(1, 24)}
    heads = {"dino_head.mlp.0.weight": torch.zeros(8, 24), "ibot_head.last_layer.weight_g": 0}
    heads["ibot_head.last_layer.weight_g"] = torch.ones(4, 1)
    content = {"teacher": behind("backbone.", state) | heads}
    found, fitted = loaded(tmp_path, content, dinov2(4, depth=4))
    assert same(found, own) and fitted.wrapper == "teacher"
    assert {*fitted.left_out} >= {*heads} and fitted.renamed


def as_openai_names_it(state):
    """OpenAI's names of CLIP's image tower, as OpenCLIP has them too."""
    swaps = [
        ("patch_embed.proj", "conv1"),
        ("pos_embed", "positional_embedding"),
        ("norm_pre", "ln_pre"),
        ("blocks.", "transformer.resblocks."),
        ("norm1", "ln_1"),
        ("norm2", "ln_2"),
        ("attn.qkv.", "attn.in_proj_"),
        ("attn.proj", "attn.out_proj"),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
    ]
    found = {}
    for name, tensor in state.items():
        for ours, theirs in swaps:
            name = name.replace(ours, theirs)
        name = "ln_post" + name.removeprefix("norm") if name.startswith("norm.") else name
        found[name] = tensor
    found["class_embedding"] = found.pop("cls_token")[0, 0]
    found["positional_embedding"] = found["positional_embedding"][0]
    found["proj"] = found.pop("head.weight").T
    del found["head.bias"]
    return behind("visual.", found)


def clip(seed=3):
    """With the projection as last layer; its bias is none of CLIP's."""
    made = vit(seed, pre_norm=True, num_classes=6)
    with torch.no_grad():
        made.head.bias.zero_()
    return made


def text_tower():
    return {
        "transformer.resblocks.0.ln_1.weight": torch.ones(16),
        "token_embedding.weight": torch.zeros(50, 16),
        "positional_embedding": torch.zeros(7, 16),
        "ln_final.weight": torch.ones(16),
        "text_projection": torch.zeros(16, 6),
        "logit_scale": torch.zeros(()),
    }


@pytest.mark.parametrize("wrap", [dict, lambda s: {"state_dict": behind("module.", s)}])
def test_clips_image_tower_without_its_text(tmp_path, wrap):
    own = clip()
    content = wrap(as_openai_names_it(tensors(own)) | text_tower())
    found, fitted = loaded(tmp_path, content, clip(seed=4))
    assert same(found, own)
    assert len(fitted.left_out) == len(text_tower()) and len(fitted.renamed) > 20
    assert fitted.on_card()["weights_renamed"] == fitted.renamed


def test_clip_in_half_precision_without_its_projection(tmp_path):
    own = clip().half().float()
    content = {name: tensor.half() for name, tensor in as_openai_names_it(tensors(own)).items()}
    found, fitted = loaded(tmp_path, content, vit(4, pre_norm=True), drop=["head"])
    assert same(found, own, pick=lambda out: out[:, :0])
    with torch.no_grad():
        images = images_of(SIDE_PX)
        pooled = own.forward_head(own.forward_features(images), pre_logits=True)
        assert torch.equal(found(images), pooled)
    assert fitted.numbers == ["float16"] and "visual.proj" in fitted.left_out


def test_siglips_image_tower_as_openclip_has_it(tmp_path):
    form = {"class_token": False, "global_pool": "map", "num_classes": 0}
    own = vit(**form)
    text = behind("text.", text_tower()) | {"logit_bias": torch.zeros(())}
    content = behind("visual.trunk.", tensors(own)) | text
    found, fitted = loaded(tmp_path, content, vit(4, **form))
    assert same(found, own) and {*fitted.left_out} == {*text}


def torchvision_vit(seed=3):
    torch.manual_seed(seed)
    made = torchvision.models.VisionTransformer(
        image_size=SIDE_PX,
        patch_size=8,
        num_layers=2,
        num_heads=3,
        hidden_dim=24,
        mlp_dim=96,
        num_classes=5,
    )
    return randomised(made, seed)


def close(a, b):
    with torch.no_grad():
        one, other = a(images_of(SIDE_PX)), b(images_of(SIDE_PX))
    assert one.std() > 0.01
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_old", [False, True])
def test_torchvisions_names_of_vits(tmp_path, is_old):
    """Also those before its version 0.13."""
    own = torchvision_vit()
    state = tensors(own)
    if is_old:
        olds = {".mlp.0.": ".mlp.linear_1.", ".mlp.3.": ".mlp.linear_2."}
        for new, old in olds.items():
            state = {name.replace(new, old): tensor for name, tensor in state.items()}
    found, fitted = loaded(tmp_path, state, vit(4, num_classes=5))
    close(found, own)
    assert fitted.renamed["class_token"] == "cls_token" and not fitted.left_out


def test_torchvisions_vit_out_of_a_lightning_file(tmp_path):
    own = torchvision_vit()
    content = {
        "state_dict": behind("model.", tensors(own)) | {"loss_fn.weight": torch.ones(5)},
        "pytorch-lightning_version": "2.5.0",
        "epoch": 3,
        "hyper_parameters": {"lr": 0.1},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_path": "x"}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
        "loops": {"fit_loop": {"state_dict": {}}},
        "lr_schedulers": [],
    }
    found, fitted = loaded(tmp_path, content, vit(4, num_classes=5))
    close(found, own)
    assert (fitted.wrapper, fitted.prefix) == ("state_dict", "model.")
    assert fitted.left_out == ["loss_fn.weight"]


def test_torchvisions_resnets_have_timms_names(tmp_path):
    torch.manual_seed(3)
    own = torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1], 5)
    new = timm.models.resnet.ResNet(timm.models.resnet.Bottleneck, (1, 1, 1, 1), 5)
    found, fitted = loaded(tmp_path, tensors(randomised(own)), new, "resnet")
    close(found, own)
    assert not fitted.renamed and fitted.notes() == []


@torch.no_grad()
def as_dinos_code_does(embedding, new):
    """`interpolate_pos_encoding` of DINO and of DINOv2 without registers."""
    old = math.sqrt(embedding.shape[1] - 1)
    grid = embedding[:, 1:].reshape(1, int(old), int(old), -1).permute(0, 3, 1, 2)
    scale = ((new + 0.1) / old, (new + 0.1) / old)
    places = functional.interpolate(grid, scale_factor=scale, mode="bicubic")
    places = places.permute(0, 2, 3, 1).reshape(1, new * new, -1)
    return torch.cat((embedding[:, :1], places), dim=1)


@pytest.mark.parametrize("new", [2, 3, 6, 7])
def test_position_embeddings_are_resampled_as_their_authors_do(tmp_path, new):
    """MAE asks for a size, DINO for a scale; timm uses antialiasing, and is some per cent off."""
    own = vit()
    found = {}
    for positions in ("antialias", "plain", "dino"):
        model = vit(4, img_size=8 * new)
        taken, fitted = loaded(tmp_path, tensors(own), model, is_resized=True, positions=positions)
        assert fitted.resampled == ["pos_embed"]
        assert fitted.on_card().get("weights_positions", "antialias") == positions
        found[positions] = taken.pos_embed.detach()
    grid = own.pos_embed[:, 1:].detach().reshape(1, 4, 4, -1).permute(0, 3, 1, 2)
    maes = functional.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    assert torch.equal(found["plain"][:, 1:], maes.permute(0, 2, 3, 1).flatten(1, 2))
    assert torch.equal(found["dino"], as_dinos_code_does(own.pos_embed, new))
    assert all(torch.equal(each[:, 0], own.pos_embed[:, 0]) for each in found.values())
    for one, other in (("antialias", "plain"), ("plain", "dino")):
        apart = (found[one] - found[other]).norm() / found[other].norm()
        assert 1e-3 < apart < 0.5


def test_positions_that_fill_no_square_are_refused():
    with pytest.raises(WeightsError, match="no square"):
        resampled(torch.zeros(1, 13, 4), (2, 2), None, 1, "plain")


def test_timms_own_function_is_as_before_after_another_way_of_resampling(tmp_path):
    before = timm.models.vision_transformer.resample_abs_pos_embed
    with pytest.raises(WeightsError):
        loaded(tmp_path, noise(tensors(vit(width := 3))), nn.Linear(width, 2), positions="plain")
    assert timm.models.vision_transformer.resample_abs_pos_embed is before
