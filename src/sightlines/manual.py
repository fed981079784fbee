"""Writes the pages that follow from the code: the manual of every key, claims, tables.

python -m sightlines.manual            # rewrites workflow/config/README.md, docs/{claims,tables}.md
python -m sightlines.manual --check    # says whether they are current
"""

import sys
from collections.abc import Iterator
from typing import Any

from sightlines.claims.claim import Claim
from sightlines.claims.judge import claims_by_study
from sightlines.core.checkout import exit_status
from sightlines.plan import objectives, registry
from sightlines.plan.config import FOLDER, member_schema, read_schema
from sightlines.plan.studies import STUDIES
from sightlines.plan.table_schemas import TYPES, Schema, schemas

INTRODUCTION = """\
# The manual of every key

<!-- Made by `python -m sightlines.manual` from src/sightlines/plan/config_types.py and the SETTINGS
of datasets, model families and objectives; edit those, not this. -->

One file in this folder is one experiment; its results lie in `results/<its name>/`. A name has
letters and digits of any script and `_-.+=,`; the first is a letter, a digit or `_`.

    snakemake                                                 # default.yaml
    snakemake --configfile workflow/config/smoke.yaml         # another experiment
    snakemake results/cifar10/figures/fig01_cka_within.svg    # one file, by its name
    snakemake --config seed=1                                 # one key, this once
    snakemake --config 'train={steps: 6}'                     # one value of a block
    python -m sightlines.check workflow/config/mine.yaml     # check a file, run nothing

| file | what |
|---|---|
| `default.yaml` | embedded images, thin networks, no download |
| `smoke.yaml` | the same path in about two minutes, for tests |
| `cifar10_small.yaml` | every measurement on real CIFAR-10, an hour on 2 cores |
| `cifar10.yaml` | the full experiment, sized for one GPU |
| `cifar10_dino.yaml` | a ViT and a ResNet, each with labels and without, sized for one GPU |
| `imagefolder.yaml` | a template for your own photographs |
| `pretrained.yaml` | a template: public networks on your photographs, nothing trained |
| `imagenette.yaml` | two ImageNet networks on Imagenette, 40 minutes on 2 cores |
| `texture_match.yaml` | what outlines cost: seven shares of surfaces that tell the class |
| `imagenette_zoo.yaml` | a ViT and a ResNet-50, the paper's pair, and four more on Imagenette |
| `imagenet_compatible.yaml` | the same six on photographs that are in no ImageNet set |

Keys that a file leaves out take the default below; an unknown key is an error that names the
nearest known one. `python -m sightlines.check` lists everything that is wrong with a file's keys
at once.
"""
CLAIMS = """\
# The claims

<!-- Made by `python -m sightlines.manual` from src/sightlines/claims; edit those, not this. -->

What each work says of its networks, and what an experiment must show for it: every criterion, with
its whole interval over images and seeds (of V1 and V2 over images and networks), of the mean over
the architectures that the claim is about or of each by itself ([protocols.md](protocols.md),
"Claims and verdicts", which also has the words of verdicts). Where a premise is not met the claim
is out of reach, whatever its values. In brackets: the smallest effect that matters, by which an
undecided claim says whether its seeds are enough. Tier A: at any scale; B: for pretrained or large
networks; C: about data at scale, where experiments on smaller data are analogues. Published values:
[text] as it says, [table] from its tables, [code] from its released code or notebooks, [fig] read
off its plots, [notes] from others' notes of it, [other] from another work, [none] where it has
none. Verdicts of an experiment are in its `tables/claims.csv`, every reading behind them in
`tables/claim_cases.csv`; which studies it makes is the key `studies`.
"""
CLAIMS_HEAD = """\
| claim | tier | what is said | statistic | needed | why this threshold | control | published |
|---|---|---|---|---|---|---|---|
"""
TABLES = """\
# The tables

<!-- Made by `python -m sightlines.manual` from TABLES and FILES of the modules that write them;
edit those, not this. -->

What lies in `results/<experiment>/tables/` (`history.csv` beside each network's weights), and what
every column means. An experiment has the tables that its figures and claims read. An empty cell of
a number, NaN in Parquet, is a value that does not exist: the meaning of its column says when, or
what it is made from is undefined.

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


def claims() -> str:
    """The list's text."""
    text = CLAIMS
    for study, own in claims_by_study().items():
        if own:
            said = STUDIES[study]
            text += f"\n## {said['short']}: {said['title']}\n\n"
            text += f"`{study}`: {said['authors']}, {said['published']}, arXiv {said['arxiv']}. "
            text += f"{said['asks']}\n\n{CLAIMS_HEAD}"
            text += "".join(f"| {_claim(claim)} |\n" for claim in own)
    return text


def _claim(claim: Claim) -> str:
    needed = [
        f"{criterion.name} {criterion} ({criterion.matters:g} matters)"
        for criterion in claim.criteria
    ]
    premises = [f"premise: {premise.says}" for premise in claim.premises]
    cells = (
        f"**{claim.id}** {claim.figure}",
        claim.tier,
        claim.statement,
        claim.statistic,
        "; ".join([*needed, *premises]),
        claim.reason,
        claim.controls,
        f"{claim.paper_value} {claim.source}",
    )
    return " | ".join(_cell(cell) for cell in cells)


def tables() -> str:
    """The text of the tables' page."""
    every = schemas()
    kinds = "; ".join(f"`{name}`: {meaning}" for name, meaning in TYPES.items())
    lines = ["| file | row | what |", "|---|---|---|"]
    lines += [f"| {_link(s)} | {_cell(s.row)} | {_cell(s.about)} |" for s in every.values()]
    lines += ["", f"Types: {kinds}."]
    for schema in every.values():
        lines += _described(schema) if schema.columns else []
    return TABLES + "\n".join(lines) + "\n"


def _link(schema: Schema) -> str:
    anchor = "".join(c for c in schema.name if c.isalnum() or c in "_-")
    return f"[`{schema.name}`](#{anchor})" if schema.columns else f"`{schema.name}`"


def _described(schema: Schema) -> Iterator[str]:
    yield from ("", f"## `{schema.name}`", "", f"{schema.about}. Made by `{schema.writer}.py`.", "")
    yield from ("| column | type | unit | meaning |", "|---|---|---|---|")
    for name, kind, unit, meaning, is_optional in schema.columns:
        more = " (not in every experiment)" if is_optional else ""
        yield f"| `{name}` | {kind} | {unit} | {_cell(meaning)}{more} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _has_section(node: dict[str, Any]) -> bool:
    within = node.get("items", {})
    return bool({"properties", "x-members", "additionalProperties"} & {*node, *within})


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
    if key == "train":
        for name, block in objectives.schemas().items():
            yield from ("", f"### `objective: {name}`, keys of `{key}.{name}`", "")
            yield from _table(block["properties"])
    for name, block in inner["properties"].items():
        if "properties" in block:
            yield from ("", f"### `{key}.{name}`", "", " ".join(block["description"].split()), "")
            yield from _table(block["properties"], block.get("required", ()))


def _table(properties: dict[str, Any], required: Any = ()) -> Iterator[str]:
    yield "| key | meaning | unit | allowed | default |"
    yield "|---|---|---|---|---|"
    shown = {k: v for k, v in properties.items() if "x-deprecated" not in v}
    for key, node in shown.items():
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
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_yaml(v)}" for k, v in value.items())
    return f"{value}"


def main() -> None:
    """Rewrite the pages, or check them."""
    docs = FOLDER.parents[1] / "docs"
    pages = {
        FOLDER / "README.md": manual(),
        docs / "claims.md": claims(),
        docs / "tables.md": tables(),
    }
    if "--check" in sys.argv[1:]:
        old = [
            str(path)
            for path, text in pages.items()
            if not path.exists() or path.read_text() != text
        ]
        sys.exit(bool(old) and f"out of date: {', '.join(old)}: python -m sightlines.manual")
    for path, text in pages.items():
        path.write_text(text)


if __name__ == "__main__":
    sys.exit(exit_status(main))
