"""Keys of the config that have another name than they had: the former one works for one release.

What results record of a config, and so what decides about reruns, keeps the former names: a key
that is renamed reruns nothing. AdamW's betas, once `momentum` and `second_moment`, are a pair:
`config_types.Train` knows them.
"""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightlines.plan import registry
from sightlines.plan.config_types import Config, Train

LAST = "0.3"
"""The release that will not know the former names."""
TOP = {"compare_grids": "require_equal_grids"}
TRAIN = {"processes": "world_size"}
MODEL = {"crop_share": "crop_pct", "outputs": "num_classes", "acts_as": "role"}
"""Former name -> name, of keys at the top level, of `train`, and of families' SETTINGS. Families
declare the former names, by which records and the families' own code have these keys."""
WORD = re.compile(rf"\b({'|'.join(MODEL)})(?=: )")


class DeprecatedKeyWarning(FutureWarning):
    """A config has a key by its former name."""


@dataclass(frozen=True)
class Former:
    """A key that a config has by its former name.

    Attributes:
        block: Where it stands, such as ``models.vit``; empty at the top level.
        key: Its former name.
        cure: What to write.
    """

    block: str
    key: str
    cure: str


def of_family(settings: Iterable[str]) -> dict[str, str]:
    """Former name -> name, of the keys that one family declares."""
    return {old: MODEL[old] for old in settings if old in MODEL}


def name_of(key: str) -> str:
    """How a config calls a key that a family declares."""
    return MODEL.get(key, key)


def as_written(settings: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """A family's SETTINGS by the names that a config has, in descriptions too."""
    found = {}
    for key, node in settings.items():
        about = WORD.sub(lambda match: MODEL[match[1]], node.get("description", ""))
        found[name_of(key)] = node | ({"description": about} if about else {})
    return found


def renewed(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Former], list[str]]:
    """A config by the names that its keys have now.

    Args:
        raw: As a file has it, not checked yet: what is no mapping is left as it is.

    Returns:
        The config; what had its former name; what is wrong: keys that are there by both.
    """
    former: list[Former] = []
    problems: list[str] = []
    recipes: dict[str, Any] = {}

    def renew(own: Any, block: str, names: Mapping[str, str]) -> Any:
        if not isinstance(own, Mapping):
            return own
        for old in own.keys() & names.keys():
            new = names[old]
            if new in own:
                place = block or "the file"
                problems.append(f"{place}: {old} is the former name of {new}: leave out {old}")
            else:
                former.append(Former(block, old, f"write {new}"))
        found = {names.get(key, key): own.get(names.get(key), value) for key, value in own.items()}
        if "train" in own:
            inner = f"{block}.train" if block else "train"
            found["train"] = recipes[inner] = renew(own["train"], inner, TRAIN)
        return found

    config: dict[str, Any] = renew(raw, "", TOP)
    for folder in ("models", "transfer"):
        if isinstance(blocks := config.get(folder), Mapping):
            config[folder] = {
                name: renew(own, f"{folder}.{name}", _names(own) if folder == "models" else {})
                for name, own in blocks.items()
            }
    return config, former, problems + _betas_twice(recipes)


def _betas_twice(recipes: Mapping[str, Any]) -> list[str]:
    """Recipes that give AdamW's betas by both names; momentum is also sgd's."""
    blocks = {block: own for block, own in recipes.items() if isinstance(own, Mapping)}
    is_for_sgd = any(own.get("optimizer") == "sgd" for own in blocks.values())
    former = ("second_moment",) if is_for_sgd else ("second_moment", "momentum")
    return [
        f"{block}: betas and {key} say the same of adamw: leave out {key}"
        for block, own in blocks.items()
        for key in former
        if {"betas", key} <= own.keys()
    ]


def _names(model: Any) -> dict[str, str]:
    """Of the keys of a model's family."""
    family = model.get("family") if isinstance(model, Mapping) else None
    if not isinstance(family, str) or family not in registry.members("models"):
        return {}
    return of_family(registry.declarations("models", family)["SETTINGS"])


def former_betas(raw: Mapping[str, Any], config: Config) -> list[Former]:
    """Where a config gives AdamW's betas by their former names.

    Args:
        raw: The config as it is written.
        config: What is made of it.
    """
    former: dict[tuple[str, str], Former] = {}
    for recipe, levels in _recipes(raw, config):
        for block, own in levels.items():
            if "second_moment" in own:
                betas = list((config.train if block == "train" else recipe).betas)
                cure = f"write betas: {betas}"
                former.setdefault((block, "second_moment"), Former(block, "second_moment", cure))
        given = [block for block, own in levels.items() if own.keys() & {"betas", "momentum"}]
        if recipe.optimizer != "sgd" and given and "betas" not in levels[given[-1]]:
            cure = f"write betas: {list(recipe.betas)}; momentum is for sgd"
            former.setdefault((given[-1], "momentum"), Former(given[-1], "momentum", cure))
    return list(former.values())


def _recipes(
    raw: Mapping[str, Any], config: Config
) -> Iterator[tuple[Train, dict[str, Mapping[str, Any]]]]:
    """Every recipe with what it is made of: block -> its keys, the later ones first in rank."""
    common = {"train": raw.get("train", {})}
    for name, model in config.models.items():
        own = common | {f"models.{name}.train": raw["models"][name].get("train", {})}
        yield model.train, own
        for task, other in config.transfer.items():
            if name in other.finetune:
                changes = {f"transfer.{task}.train": raw["transfer"][task].get("train", {})}
                yield config.recipe(name, task), own | changes


def warn(former: Sequence[Former], file: str) -> None:
    """Say once for each key what to write instead.

    Args:
        former: Keys by their former names.
        file: Where they stand: a config file.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for each in former:
        found.setdefault((each.key, each.cure), []).append(each.block)
    for (key, cure), blocks in found.items():
        where = ", ".join(filter(None, blocks)) or "the file"
        text = f"{where}: the key {key} is deprecated and ends with version {LAST}: {cure}"
        warnings.warn_explicit(text, DeprecatedKeyWarning, file, _line(file, key))


def _line(file: str, key: str) -> int:
    """The first line of a file that has a key; 0 where none is found."""
    path = Path(file)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    has_key = re.compile(rf"(^|[\s{{,\"'])({re.escape(key)})[\"']?\s*:")
    return next((i for i, line in enumerate(lines, 1) if has_key.search(line)), 0)
