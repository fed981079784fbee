"""What `dataset.json` says of photographs of more than 8 bits: which level is white in them."""

from collections.abc import Mapping
from typing import Any


def white_levels(dataset: Mapping[str, Any]) -> dict[int, int]:
    """White, by the number of bits that files say they use; empty without such photographs."""
    found = dataset.get("white_levels", {})
    return {int(bits): int(facts["white_level"]) for bits, facts in found.items()}


def describe_white(dataset: Mapping[str, Any]) -> str:
    """The same in a sentence; empty without such photographs."""
    return "; ".join(
        f"level {facts['white_level']:,} is white in {facts['photographs']:,} "
        f"photograph{'s' * (facts['photographs'] != 1)} of {bits} bits "
        f"(their largest level: {facts['largest_level']:,})"
        + (f", of which {facts['dark']:,} keep few grey levels" if facts["dark"] else "")
        + (f", of which {facts['above']:,} have brighter levels" if facts["above"] else "")
        for bits, facts in dataset.get("white_levels", {}).items()
    )
