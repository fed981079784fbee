"""Finds a timm model or one of its modules in the table, and the modules that its paths name."""

import operator
from typing import TypeVar

from torch import nn

from sightlines.models.timm_table import BLOCKS, FAMILIES, Block, Family

Known = TypeVar("Known", Block, Family)


def known_family(model: nn.Module) -> Family:
    """The table's entry of a model.

    Raises:
        LookupError: the model's class is not known.
    """
    return _known(FAMILIES, model)


def known_block(module: nn.Module) -> Block:
    """The table's entry of a block.

    Raises:
        LookupError: the block's class is not known.
    """
    return _known(BLOCKS, module)


def is_there(owner: nn.Module, needs: str) -> bool:
    """Whether an owner has what a part or an addition needs: an attribute, not None or False."""
    try:
        value = operator.attrgetter(needs)(owner) if needs else True
    except AttributeError:
        return False
    return value is not None and value is not False


def below(owner: nn.Module, path: str) -> str:
    """The names of modules that one of the table's paths stands for.

    Raises:
        LookupError: the owner has no such module.
    """
    for option in path.split("|"):
        steps: list[str] = []
        found: nn.Module | None = owner
        for step in option.split(".") if option else []:
            children = dict(found.named_children()) if found is not None else {}
            is_place = step.startswith("-") and len(children) >= -int(step)
            name = [*children][int(step)] if is_place else step
            found = children.get(name)
            steps.append(name)
        if found is not None:
            return ".".join(steps)
    raise LookupError(
        f"{class_name(type(owner))} has no module {path!r}: timm has changed, or the model was not "
        "given to timm_blocks.prepare"
    )


def joined(*paths: str) -> str:
    """Paths one below the other."""
    return ".".join(path for path in paths if path)


def class_name(cls: type) -> str:
    """Module and name of a class."""
    return f"{cls.__module__}.{cls.__name__}"


def find(table: dict[str, Known], module: nn.Module) -> Known | None:
    """Entry of the first of a module's class and its bases that a table has."""
    return next((table[n] for n in map(class_name, type(module).__mro__) if n in table), None)


def _known(table: dict[str, Known], module: nn.Module) -> Known:
    found = find(table, module)
    if found is None:
        raise LookupError(
            f"the layers of {class_name(type(module))} are not known: list the modules to look at"
        )
    return found
