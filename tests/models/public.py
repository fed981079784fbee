"""Public models with random weights, and what their layers hold."""

import json

import timm
import torch

from sightlines.models import timm_facts
from sightlines.models.layers import capture

IMAGES = 2


def answers_of_this_process(asked):
    """What the process that `timm_facts` starts prints."""
    return [json.loads(json.dumps(timm_facts._answer(one))) for one in asked]


def randomised(model, seed=3):
    """Scales away from 0 and 1, biases away from 0, attention that is not flat."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() <= 1:
                uniform(
                    parameter, *((0.5, 1.5) if name.endswith(("weight", "gamma")) else (-0.2, 0.2))
                )
            elif "relative_position" in name or "rel_pos" in name:
                uniform(parameter, -1, 1)
            elif "attn.qkv" in name:
                parameter.mul_(4)
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                uniform(buffer, 0.5, 1.5)
            elif name.endswith("running_mean"):
                uniform(buffer, -0.2, 0.2)
    return model.eval()


def images_of(size_px, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(IMAGES, 3, size_px, size_px, generator=generator)


@torch.no_grad()
def captured(model, layers, images, keep=torch.clone):
    """Values by name in the order of the hooks, and the model's output."""
    found = {}

    def take(index, value):
        assert layers[index].name not in found, "a layer fired twice"
        found[layers[index].name] = keep(value)

    with capture(model, layers, take):
        output = model(images)
    return found, output


def small_vit(**changes):
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 2}
    torch.manual_seed(3)
    made = timm.models.vision_transformer.VisionTransformer(**sizes | {"num_classes": 3} | changes)
    return randomised(made)


def as_map(value, like, prefix):
    """A layer's value as timm lays out its intermediates."""
    if value.dim() == 3 and like.dim() == 4:
        rows, columns = like.shape[2:]
        value = value[:, prefix:].transpose(1, 2)
        return value.unflatten(2, (rows, columns)) if value.shape[2] == rows * columns else value
    return value
