"""Folders of transformers as the hub has them, made of timm's weights: under the hub's own names.

transformers 5 names its modules otherwise than its checkpoints, and translates as it reads; what a
user has is under the checkpoints' names.
"""

import json

import torch
from safetensors.torch import load_file, save_file
from timm.data import ImageNetInfo

HALF = [0.5, 0.5, 0.5]
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
BLOCK = {  # of a timm ViT -> of ViTForImageClassification
    "attn.proj": "attention.output.dense",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
DINO_BLOCK = {
    "attn.proj": "attention.output.dense",
    "norm1": "norm1",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def vit(state):
    """ViTForImageClassification's tensors and config.json, of a timm ViT's tensors."""
    return _transformer(state, "vit.", "layernorm", BLOCK) | {
        f"classifier.{part}": state[f"head.{part}"] for part in ("weight", "bias")
    }, _described("vit", "ViTForImageClassification", state) | _labels()


def dinov2(state):
    """Dinov2Model's, of a timm DINOv2's."""
    found = _transformer(state, "", "layernorm", DINO_BLOCK)
    found["embeddings.mask_token"] = torch.zeros(1, state["cls_token"].shape[-1])
    for name, tensor in state.items():
        if name.endswith(".gamma"):  # blocks.0.ls1.gamma
            _, number, scale, _ = name.split(".")
            found[f"encoder.layer.{number}.layer_scale{scale[-1]}.lambda1"] = tensor
    side = int((state["pos_embed"].shape[1] - 1) ** 0.5)
    described = _described("dinov2", "Dinov2Model", state)
    patch_px = state["patch_embed.proj.weight"].shape[-1]
    return found, described | {"mlp_ratio": 4, "image_size": side * patch_px}


def resnet50(state):
    """ResNetForImageClassification's, of timm's ResNet-50."""
    found = {}
    for name, tensor in state.items():
        part = name.rpartition(".")[2]
        if name.startswith("fc."):
            new = f"classifier.1.{part}"
        elif name.startswith("layer"):
            stage, block, module = name.removeprefix("layer").split(".")[:3]
            place = f"resnet.encoder.stages.{int(stage) - 1}.layers.{block}."
            if module == "downsample":
                kind = "convolution" if ".downsample.0." in name else "normalization"
                new = f"{place}shortcut.{kind}.{part}"
            else:
                kind = "convolution" if module.startswith("conv") else "normalization"
                new = f"{place}layer.{int(module[-1]) - 1}.{kind}.{part}"
        else:
            kind = "convolution" if name.startswith("conv1") else "normalization"
            new = f"resnet.embedder.embedder.{kind}.{part}"
        found[new] = tensor
    described = {
        "architectures": ["ResNetForImageClassification"],
        "depths": [3, 4, 6, 3],
        "downsample_in_first_stage": False,
        "embedding_size": 64,
        "hidden_act": "relu",
        "hidden_sizes": [256, 512, 1024, 2048],
        "layer_type": "bottleneck",
        "model_type": "resnet",
        "num_channels": 3,
    }
    return found, described | _labels()


def write(folder, form, weights, mean, std, crop=None):
    """A folder with model.safetensors, config.json and preprocessor_config.json.

    Args:
        folder: To be made.
        form: One of this module's.
        weights: timm's safetensors.
        mean: Of the channels.
        std: Of the channels.
        crop: Share of the scaled photograph that is seen, as ConvNeXt's processor has it; None:
            the whole photograph, made square.
    """
    folder.mkdir(parents=True)
    tensors, described = form(load_file(weights))
    kept = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(described, indent=2))
    size = {"height": 224, "width": 224} if crop is None else {"shortest_edge": 224}
    sees = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": mean,
        "image_processor_type": "ViTImageProcessor" if crop is None else "ConvNextImageProcessor",
        "image_std": std,
        "resample": 2 if crop is None else 3,
        "rescale_factor": 1 / 255,
        "size": size,
    }
    (folder / "preprocessor_config.json").write_text(
        json.dumps(sees if crop is None else sees | {"crop_pct": crop}, indent=2)
    )
    return folder


def _transformer(state, root, norm, names):
    """Embeddings, blocks and last norm of a ViT."""
    own = f"{root}embeddings."
    found = {
        f"{own}cls_token": state["cls_token"],
        f"{own}position_embeddings": state["pos_embed"],
    }
    blocks = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    for part in ("weight", "bias"):
        found[f"{own}patch_embeddings.projection.{part}"] = state[f"patch_embed.proj.{part}"]
        found[f"{root}{norm}.{part}"] = state[f"norm.{part}"]
        for block in range(blocks):
            place = f"{root}encoder.layer.{block}."
            three = state[f"blocks.{block}.attn.qkv.{part}"].chunk(3)
            for name, tensor in zip(("query", "key", "value"), three, strict=True):
                found[f"{place}attention.attention.{name}.{part}"] = tensor
            for ours, theirs in names.items():
                found[f"{place}{theirs}.{part}"] = state[f"blocks.{block}.{ours}.{part}"]
    return found


def _described(model_type, architecture, state):
    width = state["cls_token"].shape[-1]
    return {
        "architectures": [architecture],
        "attention_probs_dropout_prob": 0.0,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": width,
        "image_size": 224,
        "intermediate_size": 4 * width,
        "layer_norm_eps": 1e-6,
        "model_type": model_type,
        "num_attention_heads": width // 64,
        "num_channels": 3,
        "num_hidden_layers": 12,
        "patch_size": state["patch_embed.proj.weight"].shape[-1],
        "qkv_bias": True,
        "transformers_version": "4.41.0",
    }


def _labels():
    """Names of the outputs as the hub's checkpoints have them, in words."""
    info = ImageNetInfo()
    names = [info.index_to_description(index) for index in range(1000)]
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
