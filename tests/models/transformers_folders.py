"""Tiny networks of transformers and OpenCLIP with random weights, in the form of their folders."""

import json

import torch

SIZE_PX = 64
SMALL = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "image_size": SIZE_PX,
    "patch_size": 16,
}
VIT = SMALL | {"intermediate_size": 48}
DINO = SMALL | {"mlp_ratio": 2}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "image_size": SIZE_PX}
SWIN = {
    "image_size": SIZE_PX,
    "patch_size": 4,
    "embed_dim": 12,
    "depths": [2, 2],
    "num_heads": [2, 4],
    "window_size": 4,
}
LABELS = {"id2label": {i: name for i, name in enumerate("ant bee cat dog elk".split())}}
NETWORKS = {
    "vit": ("ViTForImageClassification", "ViTConfig", VIT | LABELS),
    "dino": ("ViTModel", "ViTConfig", VIT),
    "deit": ("DeiTForImageClassificationWithTeacher", "DeiTConfig", VIT | LABELS),
    "beit": ("BeitForImageClassification", "BeitConfig", VIT | LABELS),
    "dinov2": ("Dinov2Model", "Dinov2Config", DINO),
    "registers": ("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", DINO),
    "dinov3": ("DINOv3ViTModel", "DINOv3ViTConfig", VIT | {"num_register_tokens": 4}),
    "clip": ("CLIPModel", "CLIPConfig", {"vision_config": VIT, "projection_dim": 7}),
    "siglip": ("SiglipModel", "SiglipConfig", {"vision_config": VIT}),
    "swin": ("SwinForImageClassification", "SwinConfig", SWIN | LABELS),
    "convnext": ("ConvNextForImageClassification", "ConvNextConfig", STAGES | LABELS),
}
TEXT = {
    "vocab_size": 16,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 8,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
PROCESSOR = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"height": SIZE_PX, "width": SIZE_PX},
}


def make(folder, name, dtype=torch.float32, **more):
    """A folder as `save_pretrained` writes it; the network that is in it."""
    import transformers

    kind, config, values = NETWORKS[name]
    values = dict(values) | more
    if "vision_config" in values:
        values["text_config"] = TEXT
    torch.manual_seed(5)
    model = getattr(transformers, kind)(getattr(transformers, config)(**values)).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # initial weights are too alike to tell anything
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.to(dtype).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return model


def settings(name, **more):
    keys = {"weights": "own", "revision": "main", "attn_implementation": "auto", "acts_as": "auto"}
    return {"family": "transformers", "name": name, "class_order": "auto", **keys, **more}


CLIP = {
    "embed_dim": 6,
    "vision_cfg": {
        "image_size": SIZE_PX,
        "layers": 3,
        "width": 24,
        "head_width": 8,
        "patch_size": 16,
    },
    "text_cfg": {"context_length": 4, "vocab_size": 16, "width": 24, "heads": 3, "layers": 3},
}


def make_clip(folder, **vision):
    """A folder as OpenCLIP puts it on the hub; the whole network that is in it."""
    import open_clip
    from safetensors.torch import save_file

    told = CLIP | {"vision_cfg": CLIP["vision_cfg"] | vision}
    torch.manual_seed(5)
    model = open_clip.CLIP(**told).eval()
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    seen = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}
    content = {"model_cfg": told, "preprocess_cfg": seen | {"resize_mode": "squash"}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    return model
