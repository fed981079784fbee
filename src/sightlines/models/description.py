"""What would be looked at in a network: layers, tokens, attention, and what can be measured.

`python -m sightlines.models NAME` prints it, and `sightlines.describe` gives it in a notebook.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from sightlines.models import foreign, found_layers
from sightlines.models.layers import Layer, PlacedLayer, capture

COMPARED = ("vit", "resnet", "mixer")
"""What claims take networks for; any other is `other`."""
MEASUREMENTS = {
    "cka": "similarity of layers (Figures 1, 2)",
    "probes": "linear probes (Figure 13)",
    "receptive_fields": "effective receptive fields (Figure 6)",
    "attention_distance": "mean attention distance (Figures 3, 4)",
    "skips": "skip connections over branches (Figure 7)",
    "heads": "subsets of heads (Figure 5)",
}


def describe_network(
    model: nn.Module, layers: list[Layer], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What would be looked at in a network.

    Args:
        model: In evaluation mode; it may lie on torch's meta device.
        layers: Its layers.
        facts: name, role, does, size_px, mean, std, grid, prefix, branches, plain_attention and
            parameters, as `timm_facts.facts` gives them.

    Returns:
        Plain values, ready for JSON.
    """
    size = facts["size_px"]
    sites, others = found_layers.attention_of(model, size)
    shapes = _shapes(model, layers, size)
    attention = [
        {
            "module": site.name,
            "by": site.site.function,
            "heads": site.heads,
            "windows": len(site.queries),
            "queries": int((~site.queries[..., 0].isnan()).sum()),
            "keys": int((~site.keys[..., 0].isnan()).sum()),
            "keys_without_place": int(site.keys[..., 0].isnan().sum()),
            "applied_after_softmax": list(site.site.applied),
        }
        for site in sites
    ]
    rows = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "block": layer.block,
            "module": layer.module,
            "shape": list(shapes[index]),
            "note": layer.note if isinstance(layer, PlacedLayer) else "",
        }
        for index, layer in enumerate(layers)
    ]
    possible, impossible = _possible(facts, len(sites), others)
    return {
        "name": facts["name"],
        "role": facts["role"],
        "does": facts["does"],
        "size_px": size,
        "mean": list(facts["mean"]),
        "std": list(facts["std"]),
        "grid": list(facts["grid"]),
        "prefix_tokens": facts["prefix"],
        "token_order": "row after row" if not _is_reordered(layers) else "of its own, put in rows",
        "blocks": sum(layer.kind == "residual" for layer in layers),
        "layers": rows,
        "attention": attention,
        "no_attention_over_places": others,
        "measurements": possible,
        "not_measured": impossible,
        "parameters": facts["parameters"],
    }


def describe_found(
    model: nn.Module, name: str, size_px: int, mean: Sequence[float], std: Sequence[float]
) -> dict[str, Any]:
    """The same of a network that no table knows: one forward pass shows it.

    Args:
        model: That `foreign.prepared` gave, in evaluation mode.
        name: What to call it.
        size_px: Side of its images.
        mean: Of each channel of [0, 1] pixels.
        std: Standard deviation of each channel.

    Raises:
        ConfigError: none of its blocks was found, or it cannot be run.
    """
    seen = foreign.seen_of(model)
    facts = {"name": name, "size_px": size_px, "mean": mean, "std": std}
    facts |= {"grid": seen.grid, "prefix": seen.prefix, "does": seen.role}
    facts |= {"role": seen.role if seen.role in COMPARED else "other"}
    facts |= {"branches": False, "plain_attention": False}
    facts |= {"parameters": sum(p.numel() for p in model.parameters())}
    return describe_network(model, list(seen.layers), facts)


def _shapes(model: nn.Module, layers: list[Layer], size_px: int) -> dict[int, tuple[int, ...]]:
    import torch

    shapes: dict[int, tuple[int, ...]] = {}
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    images = torch.zeros(2, 3, size_px, size_px, device=device)

    def note(index: int, value: Any) -> None:
        shapes[index] = tuple(value.shape[1:])

    with torch.no_grad(), capture(model, layers, note):
        model(images)
    return shapes


def _is_reordered(layers: list[Layer]) -> bool:
    return any(isinstance(layer, PlacedLayer) and layer.order for layer in layers)


def _possible(
    facts: Mapping[str, Any], sites: int, others: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Measurements that are possible, and why the others are not."""
    reasons = {}
    if not sites:
        seen = sorted({*others.values()})
        why = f"its softmaxes run {'; '.join(seen)}" if seen else "it has no softmax attention"
        reasons["attention_distance"] = why
    if not facts["branches"]:
        reasons["skips"] = "where its branches meet their skips is not known"
    if not facts["plain_attention"]:
        reasons["heads"] = "queries, keys and values of single heads are known of plain ViTs alone"
    return [name for name in MEASUREMENTS if name not in reasons], reasons


def as_text(found: Mapping[str, Any]) -> str:
    """A description in lines that people read."""
    lines = [
        f"{found['name']}: {found['does']} (claims take it for: {found['role']}), "
        f"{found['parameters'] / 1e6:.1f} million parameters",
        f"  images: {found['size_px']} px, mean {found['mean']}, std {found['std']}",
        f"  places at the end: {found['grid'][0]} × {found['grid'][1]}, "
        f"{found['prefix_tokens']} tokens before them; order: {found['token_order']}",
        f"  {found['blocks']} blocks, {len(found['layers'])} layers:",
    ]
    for row in found["layers"]:
        shape = " × ".join(map(str, row["shape"]))
        note = f" ({row['note']})" if row["note"] else ""
        lines.append(f"    {row['name']:<22} {row['kind']:<11} {shape:<18} {row['module']}{note}")
    lines.append(f"  attention between places: {len(found['attention'])}")
    for row in found["attention"]:
        after = row["applied_after_softmax"]
        applied = f"; after the softmax: {', '.join(after)}" if after else ""
        lines.append(
            f"    {row['module']}: {row['heads']} heads, {row['windows']} windows, "
            f"{row['queries']} queries, {row['keys']} keys{applied}"
        )
    for module, reason in found["no_attention_over_places"].items():
        lines.append(f"    not {module}: {reason}")
    if "config" in found:
        lines.append("  the config must say:")
        lines += [f"    {key}: {value}" for key, value in found["config"].items()]
    lines.append("  can be measured:")
    lines += [f"    {MEASUREMENTS[name]}" for name in found["measurements"]]
    lines += [f"    not {MEASUREMENTS[n]}: {why}" for n, why in found["not_measured"].items()]
    return "\n".join(lines)
