"""What does not fit between a file's tensors and a model's, and what to change."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from sightlines.models.weight_files import LISTED, State

COUNTERS = "num_batches_tracked"
"""Of minibatches that a BatchNorm saw: no output depends on it, and many files leave it out."""
SIZED = ("pos_embed", "pos_embedding", "patch_embed.proj.weight", "relative_position_bias_table")
"""Ends of names of tensors that depend on the size of images or patches."""
NUMBERED = re.compile(r"^(.*?(?:blocks|layers|resblocks|stages|layer\d+)\.)(\d+)\.")
"""Names of tensors that lie in one of several like blocks: where these lie, and which it is."""
NUMBER = re.compile(r"\.\d+(?=\.)")
PARTS = (
    (r"\.(ls[12]\.gamma|gamma_[12])$", "LayerScale", "arguments: {init_values: 1.0e-5}"),
    (r"\.attn\.qkv\.bias$", "biases of queries, keys and values", "arguments: {qkv_bias: true}"),
    (r"\.attn\.[qk]_norm\.", "norms of queries and keys", "arguments: {qk_norm: true}"),
    (r"(^|\.)reg(ister)?_tokens?$", "registers", "arguments: {reg_tokens: <how many>}"),
    (r"(^|\.)relative_position_bias_table$", "relative positions", "another name"),
    (r"^fc_norm\.", "a norm behind the pooling", "arguments: {global_pool: avg}"),
)
"""Parts that some networks of one form have and others lack, and what says so in the config."""
ADAPTER = re.compile(r"\.(lora_[AB]|base_layer|modules_to_save)\.")
"""Names of tensors as the library peft has them."""
TRANSFORMERS = re.compile(
    r"(^|\.)(embeddings\.(patch_embeddings|cls_token)|embedder\.embedder"
    r"|encoder\.layers?\.\d+\.(attention|self_attn|layer_?norm|blocks\.\d+\.attention)"
    r"|encoder\.stages\.\d+\.layers)(\.|$|_)"
)
"""Names of tensors as the library transformers has them."""


TORCHVISION = re.compile(
    r"^(features\.\d+\.(\d+|block|attn|weight)(\.|$)|trunk_output\.block\d|stage\d\.\d+\.branch\d"
    r"|blocks\.\d+\.layers\.\d+\.layers\.)"
)
"""Names of tensors as torchvision has them, of networks whose names are others in timm."""


def misfits(found: Mapping[str, Any], expected: Mapping[str, torch.Tensor]) -> list[str]:
    """What is wrong with names and shapes, one line each."""
    odd = [
        f"{name}: shape {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    odd += [
        f"{name}: numbers of the type {found[name].dtype}, whose scale is not known"
        for name, tensor in expected.items()
        if name in found and tensor.is_floating_point() and not found[name].is_floating_point()
    ]
    missing = [f"{n}: missing" for n in expected if n not in found and not n.endswith(COUNTERS)]
    return [*odd, *missing, *(f"{name}: unexpected" for name in found if name not in expected)]


def not_finite(found: torch.Tensor, expected: torch.Tensor) -> int:
    """How many numbers of a tensor are not finite, though the network does not begin with them.

    Some networks begin with infinite numbers that are meant: the layers of timm's Gemma 4 hold the
    bounds between which they clip, ± infinity until a checkpoint sets them.

    Args:
        found: Any tensor.
        expected: The tensor of the same name of the network just built.
    """
    odd = ~torch.isfinite(found)
    if found.shape == expected.shape and not expected.is_meta:
        odd &= found != expected.to(found.device)
    return int(odd.sum())


def infinite(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What is wrong with numbers, one line each."""
    return [
        f"{name}: holds numbers that are not finite"
        for name in expected
        if name in found and found[name].is_floating_point()  # others are, or are misfits
        if not_finite(found[name].float(), expected[name])
    ]


def cure(
    model: Any, raw: State, found: State, offences: Sequence[str], beside: Mapping[str, int]
) -> str:
    """The key or the step that helps, as far as names and shapes tell.

    Args:
        model: What the weights are for.
        raw: The file's tensors, without a prefix.
        found: The same by timm's names, where it can convert them.
        offences: From `misfits`.
        beside: Names of what may be a last layer beside the prefix, and their outputs.
    """
    odd = {line.partition(":")[0] for line in offences}
    if any(ADAPTER.search(name) for name in raw):
        return (
            "It holds weights with adapters beside them (LoRA): let whoever made it merge them "
            "(peft: merge_and_unload) and save model.state_dict()."
        )
    if _is_torchvisions(raw, model):
        return (
            "Its names are those of torchvision, not timm's: set family: torchvision, name to "
            "torchvision's name of the network, and weights to this file."
        )
    if any(TRANSFORMERS.search(name) for name in raw):
        return (
            "Its names are those of the library transformers, not timm's: set weights to hub for "
            "timm's own file of this network, or to the state_dict of a model of timm."
        )
    if odd and all(belongs(model, "classifier", name) for name in odd):
        return _cure_of_head(model, found, beside)
    if odd and all(_is_grey(model, name, found) for name in odd):
        return "The file is of a network for grey images: set arguments: {in_chans: 1}."
    if odd and all(name.endswith(SIZED) for name in odd):
        return "The file is for images or patches of another size: set size_px or patch_px."
    return "Check name, num_classes, size_px, patch_px and arguments of the model in the config."


def _is_torchvisions(raw: State, model: Any) -> bool:
    """Whether names are those of torchvision's VGGs, MobileNets, ConvNeXts, Swins and the like."""
    is_timms = bool(getattr(model, "pretrained_cfg", None))
    if not is_timms:
        return False
    is_vgg = {"features.0.weight", "classifier.6.weight"} <= raw.keys()
    own = model.state_dict().keys()
    return is_vgg or any(TORCHVISION.search(name) for name in raw.keys() - own)


def _cure_of_head(model: Any, found: State, beside: Mapping[str, int]) -> str:
    """What helps where only last layers differ."""
    own = {n: t for n, t in found.items() if belongs(model, "classifier", n) and t.dim()}
    if not own and beside:
        named = ", ".join(f"{name}, {size} outputs" for name, size in beside.items())
        wanted = getattr(model, "pretrained_cfg", {}).get("classifier")
        return (
            f"Its last layer lies beside its other weights, by another name ({named}): set "
            f"num_classes: 0, which leaves it out, or let whoever made it call it {wanted}."
        )
    if not own:
        return "It has no last layer: set num_classes: 0."
    dropped = "leave it out: num_classes: 0 and drop: [head]"
    if any(re.search(r"\.\d+\.", name) for name in own):
        return f"The file's last layer is several, a head for training: {dropped}."
    size = max(map(len, own.values()))
    if any(model.state_dict()[name].shape == t.shape for name, t in own.items()):
        return f"Its last layer is not whole, or of other numbers: {dropped}."
    return f"The file's last layer has {size} outputs: set num_classes: {size}, or {dropped}."


def belongs(model: Any, role: str, name: str) -> bool:
    """Whether a tensor is of a layer that timm's facts of a model name.

    Args:
        model: Of timm.
        role: ``classifier``, its last layers, or ``first_conv``, its first.
        name: Of the tensor.
    """
    layers = getattr(model, "pretrained_cfg", {}).get(role) or ()
    layers = (layers,) if isinstance(layers, str) else layers
    return any(name.startswith(f"{layer}.") for layer in layers)


def _is_grey(model: Any, name: str, found: State) -> bool:
    """Whether a tensor is the first layer's weight, for one channel."""
    return belongs(model, "first_conv", name) and name in found and found[name].shape[1:2] == (1,)


def explained(
    found: Mapping[str, Any], expected: Mapping[str, Any], offences: Sequence[str]
) -> list[str]:
    """What many misfits have in common, first what explains most of them; none alone.

    Args:
        found: The file's tensors, by timm's names where it can convert them.
        expected: The model's.
        offences: From `misfits`.
    """
    odd = [line.partition(":")[0] for line in offences]
    told = [*_depths(found, expected, odd), *_widths(found, expected), *_parts(found, expected)]
    if not found.keys() & expected.keys():
        told.append((len(odd) + 1, f"none of the model's {len(expected)} tensors is in the file"))
    return [text for count, text in sorted(told, key=lambda one: -one[0]) if count > 1]


def _depths(
    found: Mapping[str, Any], expected: Mapping[str, Any], odd: Sequence[str]
) -> list[tuple[int, str]]:
    """Rows of blocks that are longer on one side, and how many misfits that explains."""
    there, wanted = _last_blocks(found), _last_blocks(expected)
    told = []
    for place in there.keys() & wanted.keys():
        few, many = sorted((there[place], wanted[place]))
        numbers = [m for m in map(NUMBERED.match, odd) if m and m[1] == place]
        count = sum(int(m[2]) > few for m in numbers)
        if few != many:
            sides = f"{there[place] + 1} in the file, {wanted[place] + 1} in the model"
            told.append((count, f"{place}*: {sides} ({count} tensors)"))
    return told


def _last_blocks(names: Mapping[str, Any]) -> dict[str, int]:
    """Where blocks lie -> the number of the last."""
    last: dict[str, int] = {}
    for match in filter(None, map(NUMBERED.match, names)):
        last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    return last


def _widths(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[tuple[int, str]]:
    """The width that most tensors of another shape have in common."""
    pairs: Counter[tuple[int, int]] = Counter()
    for name in found.keys() & expected.keys():
        sides = [tuple(side[name].shape) for side in (found, expected)]
        if len(sides[0]) == len(sides[1]):
            pairs.update({(a, b) for a, b in zip(*sides, strict=True) if a != b})
    if not pairs:
        return []
    (theirs, own), count = pairs.most_common(1)[0]
    return [(count, f"{theirs} in the file is {own} in the model, in {count} tensors")]


def _parts(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Parts that one side lacks, or has by other names."""
    told = []
    for pattern, what, key in PARTS:
        there = [n for n in found if n not in expected and re.search(pattern, n)]
        here = [n for n in expected if n not in found and re.search(pattern, n)]
        if there and here:
            sides = f"{there[0]} in the file, {here[0]} in the model"
            text = f"{what}: on both sides by other names ({sides})"
        elif there:
            text = f"{what}: only the file has them ({key}), {len(there)} tensors"
        else:
            text = f"{what}: only the model has them, {len(here)} tensors"
        told.append((len(there) + len(here), text))
    return told


def some(lines: Sequence[str]) -> list[str]:
    """Some lines of each kind, and how many are left: first the kind with most.

    Lines that differ by the numbers in a name alone, such as those of a tensor of every block, are
    told by the first of them.
    """
    kinds: dict[str, dict[str, list[str]]] = {}
    for line in lines:
        name, _, what = line.partition(": ")
        own = kinds.setdefault(what.partition(" ")[0], {})
        own.setdefault(f"{NUMBER.sub('.#', name)}: {what}", []).append(line)
    listed = []
    for kind, alike in sorted(kinds.items(), key=lambda one: -sum(map(len, one[1].values()))):
        groups = sorted(alike.values(), key=lambda group: -len(group))
        for group in groups[:LISTED]:
            listed.append(f"{group[0]}{_and_more(len(group) - 1)}")
        left = sum(map(len, groups[LISTED:]))
        listed += [f"… and {left} more: {kind}"] if left else []
    return listed


def _and_more(count: int) -> str:
    return f" (and {count} of other blocks)" if count else ""


def shown(names: Sequence[str]) -> str:
    """Some names, and how many are left."""
    left = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {left} more" if left > 0 else "")
