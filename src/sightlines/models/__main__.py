"""Command: what would be looked at in a network.

python -m sightlines.models NAME [--family torchvision] [--json] [--size-px N]; --all: a table of
one network of each of timm's files.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from sightlines.core.errors import SightlinesError
from sightlines.models import described_families, timm_building
from sightlines.models.description import as_text
from sightlines.models.timm_names import entry_points

COLUMNS = ("timm's file", "network", "does", "blocks", "places", "attention", "not measured")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the description of one network, or the table of all."""
    parser = argparse.ArgumentParser(prog="python -m sightlines.models", description=__doc__)
    parser.add_argument("name", nargs="?", help="timm's name of a network, or the family's")
    described_families.add_arguments(parser)
    parser.add_argument("--all", action="store_true", help="one network of each file of timm")
    given = parser.parse_args(arguments)
    if given.all:
        print(table(members()))
        return 0
    if not given.name:
        parser.error("name a network, or ask for --all")
    asked = (given.family, given.name, given.arguments, given.size_px)
    try:
        found = described_families.described(*asked, given.data_root, given.trust_code)
    except SightlinesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2) if given.json else as_text(found))
    return 0


def members() -> dict[str, str]:
    """Of each file of timm.models, one network: the first that says it is small, else the first."""
    found: dict[str, str] = {}
    small = ("test_", "atto", "nano", "pico", "tiny", "xxs", "_s0", "_m0", "_b0", "small", "_s")
    for name, file in entry_points().items():
        rank = next((i for i, word in enumerate(small) if word in name), len(small))
        best = found.get(file)
        worst = next((i for i, word in enumerate(small) if best and word in best), len(small))
        if best is None or rank < worst:
            found[file] = name
    return dict(sorted(found.items()))


def table(names: dict[str, str]) -> str:
    """A table in Markdown: file, network, what it does, blocks, places, attention, what is not."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    for file, name in names.items():
        try:
            found = timm_building.described_network({"name": name})
        except SightlinesError as error:
            lines.append(f"| `{file}` | `{name}` | refused: {str(error).splitlines()[0]} | | | | |")
            continue
        grid = " × ".join(map(str, found["grid"]))
        cells = (
            f"`{file}`",
            f"`{name}`",
            found["does"],
            str(found["blocks"]),
            grid,
            str(len(found["attention"])),
            ", ".join(found["not_measured"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
