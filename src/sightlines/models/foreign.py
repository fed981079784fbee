"""Networks of other libraries and of users: seen by one traced forward pass, without any table."""

import functools
from collections import Counter
from typing import Any

import torch
from torch import nn

from sightlines.core.errors import ConfigError
from sightlines.models.attention import READS_MAPS
from sightlines.models.found_blocks import is_below
from sightlines.models.found_layers import Seen, attention_of, look, traced, uncompiled
from sightlines.models.layers import Layer, capture
from sightlines.models.tracing import IMAGES, tensors_of

CLASS_TOKENS = ("class_token", "cls_token", "class_embedding")
"""Parameters that are a class token: of torchvision, timm and transformers, CLIP."""
QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")
"""Where torch keeps modules of whole numbers."""
LISTED = 5
"""Tensors that a message lists, at most."""


def prepared(model: nn.Module, size_px: int) -> nn.Module:
    """A network ready to be looked at: uncompiled, and with no path of torch that hides attention.

    Args:
        model: As its builder made it.
        size_px: Side of the images.
    """
    torch.backends.mha.set_fastpath_enabled(False)
    model = uncompiled(model)
    own = vars(model)
    own["seen_px"] = size_px
    if not hasattr(model, "reset_classifier"):  # what further training asks of a network
        own["reset_classifier"] = functools.partial(reset_heads, model)
        own["get_classifier"] = functools.partial(heads, model)
    return model


def seen_of(model: nn.Module) -> Seen:
    """What one forward pass shows of a network that `prepared` gave.

    Raises:
        ConfigError: none of its blocks was found, or one computes several times; it is quantised
            or a graph of another one; it gives no tensor, or cannot be run.
    """
    own = vars(model)
    if "found" not in own:
        _refuse_rewritten(model)
        try:
            seen = look(model, own["seen_px"])
        except LookupError as error:
            raise ConfigError(_no_blocks(model, own["seen_px"])) from error
        if not seen.trace.ends:
            raise ConfigError(
                f"{type(model).__name__} gives nothing in which a tensor of its images is found: "
                "let its forward give a tensor, or a tuple, list or dictionary of them"
            )
        _refuse_repeated(model, seen)
        own["found"] = seen
        setattr(model, READS_MAPS, own["found"].reads_maps)
        own.setdefault("num_prefix_tokens", own["found"].prefix)
        # A parameter of that name, as many ViTs have, must not be hidden by a plain attribute.
        if own["found"].prefix and _has_class_token(model) and not hasattr(model, "cls_token"):
            own["cls_token"] = True
    found: Seen = own["found"]
    return found


def _refuse_rewritten(model: nn.Module) -> None:
    """Refuse what a tool of torch made of a network, in which its blocks are no longer called.

    Raises:
        ConfigError: naming the module and the cure.
    """
    for path, module in model.named_modules():
        called = path or type(model).__name__
        if isinstance(module, torch.fx.GraphModule):
            raise ConfigError(
                f"{called} is a graph of torch.fx, which calls single layers and no blocks: give "
                "the network of which it was made"
            )
        if type(module).__module__.startswith(QUANTISED):
            raise ConfigError(
                f"{called} is quantised ({type(module).__name__}): give the network as it was "
                "before, in floating point"
            )


def _refuse_repeated(model: nn.Module, seen: Seen) -> None:
    """Refuse a network of which blocks would be left out, since they compute several times.

    Raises:
        ConfigError: naming the outermost of them, and the cure.
    """
    calls = seen.trace.calls
    counts = Counter(call.path for call in calls)
    for call in calls:
        if counts[call.path] == 1 or not any(len(output.shape) > 2 for output in call.outputs):
            continue  # a head, which gives no map and no tokens, may compute several times
        has_parts = any(p.dim() > 1 for part in call.children for p in part.module.parameters())
        if has_parts and not any(is_below(path, call.path) for path in seen.block_paths):
            raise ConfigError(
                f"{call.path} of {type(model).__name__} computes {counts[call.path]} times in one "
                "forward pass, and so stands at no one depth: give each time a module of its own "
                "(copies may share their parameters). In a notebook `load` also takes `layers`, "
                "the paths of modules to look at"
            )


def _no_blocks(model: nn.Module, size_px: int) -> str:
    """Why no block of a network was found, as far as shapes tell, and what a block must be."""
    said = f"the blocks of {type(model).__name__} were not found: "
    for call in traced(model, size_px).calls:
        for shape in (output.shape for output in call.outputs):
            if len(shape) == 3 and shape[1] == IMAGES != shape[0]:
                return said + (
                    f"{call.path} gives {list(shape)} for {IMAGES} images, which stand on its "
                    "second axis. Let it give [images, tokens, features], and set batch_first=True "
                    "of nn.MultiheadAttention"
                )
    return said + (
        "let each be a module that holds its own skip connection or branches and gives [images, "
        "tokens, features] or [images, features, rows, columns]. In a notebook `load` also takes "
        "`layers`, the paths of modules to look at"
    )


def _has_class_token(model: nn.Module) -> bool:
    """Whether one of the tokens is a class token, by what libraries call it."""
    return any(name.rpartition(".")[2] in CLASS_TOKENS for name, _ in model.named_parameters())


def layers(model: nn.Module) -> list[Layer]:
    """Its layers in the order in which they compute."""
    return list(seen_of(model).layers)


def _said(given: Any) -> str:
    """What a network gave, in words: its numbers say nothing."""
    if isinstance(given, torch.Tensor):
        return str(list(given.shape))
    parts = [f"{'.'.join(map(str, pick))}: {list(t.shape)}" for pick, t in tensors_of(given)]
    return f"a {type(given).__name__}" + (f" ({', '.join(parts[:LISTED])})" if parts else "")


# -- what is read out ----------------------------------------------------------------------


def pool_of(model: nn.Module) -> str:
    """What a plain ViT classifies, from the gradient of its output in the last block's tokens.

    Returns:
        ``cls`` where its prefix tokens alone count, ``gap`` where all places and nothing else do,
        without another attention behind the blocks; else ``other``; empty of any other network.
    """
    seen = seen_of(model)
    if not seen.is_plain or any(p.is_meta for p in model.parameters()):
        return ""
    block = next(layer for layer in reversed(seen.layers) if layer.kind == "residual")
    side, found = vars(model)["seen_px"], []
    draw = torch.Generator().manual_seed(0)
    saved = {}
    for name, parameter in model.named_parameters():  # a last layer may start at zero
        if parameter.dim() > 1 and not parameter.any():
            saved[name] = parameter.detach().clone()
            parameter.data.copy_(torch.randn(parameter.shape, generator=draw))
    try:
        with torch.enable_grad(), capture(model, [block], lambda _, value: found.append(value)):
            images = torch.rand(1, 3, side, side, generator=draw).requires_grad_()
            scores = model.eval()(images)
            weighted = (scores * torch.randn(scores.shape, generator=draw)).sum()
        (gradient,) = torch.autograd.grad(weighted, found[0])
    finally:
        for name, value in saved.items():
            model.get_parameter(name).data.copy_(value)
    counts = gradient.abs().sum((0, 2)) > 0
    before, places = counts[: seen.prefix], counts[seen.prefix :]
    if bool(before.any()) and not bool(places.any()):
        return "cls"
    paths = tuple(f"{path}." for path in seen.block_paths)
    attends = any(not f"{path}.".startswith(paths) for path, _ in seen.trace.others)
    return "gap" if bool(places.all()) and not bool(before.any()) and not attends else "other"


# -- last layers ---------------------------------------------------------------------------


def head_paths(model: nn.Module) -> list[str]:
    """Paths of the layers that give the scores: one, or of a distilled ViT two.

    Raises:
        ConfigError: none was found.
    """
    seen = seen_of(model)
    last = max(call.end for call in seen.trace.calls if call.path == seen.block_paths[-1])
    size = {o.shape[-1] for call in seen.trace.calls[:1] for o in call.outputs}
    found = [
        call.path
        for call in seen.trace.calls
        if call.begin >= last and len(size) == 1 and _scores(call.module) in size
    ]
    if not found:
        raise ConfigError(
            f"{type(model).__name__} has no last layer that could be replaced for other classes: "
            "leave it out of finetune"
        )
    return found


def _scores(module: nn.Module) -> int:
    """Length of the output of a layer that may be a last one; -1 of any other."""
    if isinstance(module, nn.Linear):
        return module.out_features
    if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
        return module.out_channels
    return -1


def heads(model: nn.Module) -> tuple[nn.Module, ...]:
    """The layers that give the scores."""
    return tuple(model.get_submodule(path) for path in head_paths(model))


def reset_heads(model: nn.Module, classes: int) -> None:
    """Replace the layers that give the scores by new ones for other classes."""
    for path in head_paths(model):
        old: Any = model.get_submodule(path)
        has_bias = old.bias is not None
        if isinstance(old, nn.Linear):
            new: nn.Module = nn.Linear(old.in_features, classes, bias=has_bias)
        else:
            new = nn.Conv2d(old.in_channels, classes, 1, bias=has_bias)
        model.set_submodule(path, new)
    for key in ("found", "attended"):
        vars(model).pop(key, None)


def facts(model: nn.Module, classes: int) -> dict[str, Any]:
    """What planning asks of a network.

    Returns:
        `grid`, `role` and `does`, `attention` (that of a plain ViT), `attention_sites` (how many
        others), `pool` (see `pool_of`), `centres`, `layers` and `parameters`.

    Raises:
        ConfigError: it gives no score a class.
    """
    seen = seen_of(model)
    size_px = vars(model)["seen_px"]
    device = next(model.parameters()).device
    with torch.no_grad():
        scores = model.eval()(torch.zeros(2, 3, size_px, size_px, device=device))
    if tuple(getattr(scores, "shape", ())) != (2, classes):
        raise ConfigError(
            f"{type(model).__name__} gives {_said(scores)} for 2 images and {classes} classes: its "
            "output must be a tensor [images, classes]"
        )
    sites, _ = attention_of(model, size_px)
    return {
        "grid": list(seen.grid),
        "role": seen.role if seen.role in ("vit", "resnet", "mixer") else "other",
        "does": seen.role,
        "attention": seen.is_plain,
        "attention_sites": 0 if seen.is_plain else len(sites),
        "pool": pool_of(model),
        "centres": seen.centres,
        "layers": len(seen.layers),
        "parameters": sum(p.numel() for p in model.parameters()),
    }
