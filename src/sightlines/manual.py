"""Writes `workflow/config/README.md`, the manual of every key, from the schema.

python -m sightlines.manual            # rewrites the manual
python -m sightlines.manual --check    # says whether it is current
"""

import sys
from collections.abc import Iterator
from typing import Any

from sightlines import registry
from sightlines.config import FOLDER, member_schema, read_schema

INTRODUCTION = """\
# The manual of every key

<!-- Made by `python -m sightlines.manual` from schema.yaml and the SETTINGS of datasets and model
families; edit those, not this. -->

One file in this folder is one experiment; its results lie in `results/<its name>/`.

    snakemake                                                 # default.yaml
    snakemake --configfile workflow/config/smoke.yaml         # another experiment
    snakemake results/cifar10/figures/fig01_cka_within.svg    # one file, by its name
    snakemake --config seed=1                                 # one key, this once
    python -m sightlines.config workflow/config/mine.yaml     # check a file, run nothing

| file | what |
|---|---|
| `default.yaml` | embedded images, thin networks, no download |
| `smoke.yaml` | the same path in about two minutes, for tests |
| `cifar10_small.yaml` | every measurement on real CIFAR-10, at most 60 minutes on 2 cores |
| `cifar10.yaml` | the full experiment, sized for one GPU |
| `imagefolder.yaml` | a template for your own photographs |

Keys that a file leaves out take the default below; an unknown key is an error that names the
nearest known one. `python -m sightlines.config` lists everything that is wrong with a file at once.
"""


def manual() -> str:
    """The manual's text."""
    schema = read_schema()
    lines = [INTRODUCTION]
    top = {k: v for k, v in schema["properties"].items() if not _has_section(v)}
    lines += ["## At the top level", "", *_table(top)]
    for key, node in schema["properties"].items():
        if _has_section(node):
            lines += _section(key, node)
    return "\n".join(lines) + "\n"


def _has_section(node: dict[str, Any]) -> bool:
    return bool({"properties", "x-members", "additionalProperties", "items"} & set(node))


def _section(key: str, node: dict[str, Any]) -> Iterator[str]:
    yield from ("", f"## `{key}`", "", " ".join(node["description"].split()), "")
    members = node if "x-members" in node else node.get("additionalProperties") or {}
    if isinstance(members, dict) and "x-members" in members:
        shared = members.get("properties", {})
        if shared:
            yield from _table(shared)
        for name in registry.members(members["x-members"]):
            own = member_schema(members, name)
            select, required = members["x-select"], own["required"]
            settings = {k: v for k, v in own["properties"].items() if k not in (select, *shared)}
            yield from ("", f"### `{select}: {name}`", "")
            yield from _table(settings, required) if settings else ["No keys of its own."]
        return
    inner = node.get("items") or node.get("additionalProperties") or node
    yield from _table(inner["properties"], inner.get("required", ()))


def _table(properties: dict[str, Any], required: Any = ()) -> Iterator[str]:
    yield "| key | meaning | unit | allowed | default |"
    yield "|---|---|---|---|---|"
    for key, node in properties.items():
        default = (
            "required" if key in required else _yaml(node["default"]) if "default" in node else ""
        )
        meaning = " ".join(node.get("description", "").split()).replace("|", "\\|")
        yield f"| `{key}` | {meaning} | {node.get('unit', '')} | {_allowed(node)} | {default} |"


def _allowed(node: dict[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "oneOf" in node:
        return " or ".join(_allowed(option) for option in node["oneOf"])
    bounds = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
    }
    limits = [f"{sign} {node[word]:g}" for word, sign in bounds.items() if word in node]
    kind = {"array": "list", "object": "keys", "boolean": "true, false"}.get(
        node.get("type", ""), node.get("type", "")
    )
    if node.get("type") == "array" and isinstance(node.get("items"), dict):
        kind += f" of {_allowed(node['items'])}".rstrip()
    if "pattern" in node:
        kind += f" like `{node['pattern']}`".replace("|", "\\|")
    return ", ".join([kind, *limits])


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value in ({}, []):
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_yaml(v)}" for k, v in value.items())
    return f"{value}"


def main() -> None:
    """Rewrite the manual, or check it."""
    path = FOLDER / "README.md"
    if "--check" in sys.argv[1:]:
        sys.exit(
            path.read_text() != manual() and f"{path} is out of date: python -m sightlines.manual"
        )
    path.write_text(manual())


if __name__ == "__main__":
    main()
