"""What would be looked at in a network: layers, tokens, attention, and what can be measured.

`python -m sightlines.models NAME` prints it; the same function takes a network that is there.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from sightlines.models import found_layers
from sightlines.models.layers import Layer, PlacedLayer, capture

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
        model: On torch's meta device, in evaluation mode.
        layers: Its layers.
        facts: As `timm_facts.facts` gives them.

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


def _shapes(model: nn.Module, layers: list[Layer], size_px: int) -> dict[int, tuple[int, ...]]:
    import torch

    shapes: dict[int, tuple[int, ...]] = {}
    images = torch.zeros(2, 3, size_px, size_px, device="meta")

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
    lines.append("  can be measured:")
    lines += [f"    {MEASUREMENTS[name]}" for name in found["measurements"]]
    lines += [f"    not {MEASUREMENTS[n]}: {why}" for n, why in found["not_measured"].items()]
    return "\n".join(lines)
