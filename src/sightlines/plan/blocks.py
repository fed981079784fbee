"""Blocks of a config file as frozen classes, and what follows from their declarations.

A key is declared once (`key`): its type, meaning, unit, default and bounds. From that follow the
JSON Schema that files are checked against, the manual, the defaults, and the typed objects that the
planner works with. Bounds are words of JSON Schema, as in the SETTINGS of datasets and families.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, ClassVar, Literal, TypeVar, dataclass_transform

Made = TypeVar("Made", bound="Block")
SIMPLE = {int: "integer", float: "number", bool: "boolean", str: "string"}
"""Types of JSON Schema."""


def key(
    about: str,
    *,
    default: Any = MISSING,
    default_factory: Callable[[], Any] | Any = MISSING,
    recorded: str = "",
    schema: Mapping[str, Any] | None = None,
    **words: Any,
) -> Any:
    """One key of a block.

    Args:
        about: What it means, for the manual.
        default: Its value where a file leaves it out; without one, and without `default_factory`,
            files must have the key.
        default_factory: Makes the default, where that is a block or a mapping.
        recorded: Its name in the records of results, where that is an older one: a key that is
            renamed reruns nothing.
        schema: Further words that are no names of arguments.
        words: Of JSON Schema, such as ``minimum=1``; and ``unit``.
    """
    metadata = {"recorded": recorded, "schema": {"description": about, **words, **(schema or {})}}
    return dataclasses.field(default=default, default_factory=default_factory, metadata=metadata)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(key,))
def block(cls: type[Made]) -> type[Made]:
    """A frozen class whose keys are declared by `key`."""
    return dataclass(frozen=True, kw_only=True)(cls)


class Block:
    """What all blocks have."""

    DEPRECATED: ClassVar[dict[str, dict[str, Any]]] = {}
    """Keys that are no fields any more but still allowed: schemas, each with ``x-deprecated``."""
    WORDS: ClassVar[dict[str, Any]] = {}
    """Further words of the block's schema."""

    @classmethod
    def made_of(cls: type[Made], values: Mapping[str, Any]) -> Made:
        """The block of checked values; keys that are absent have their defaults."""
        return cls(**cls.typed(values))

    @classmethod
    def typed(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Checked values of some of its keys, as their types have them."""
        own: dict[str, Any] = {f.name: f.type for f in _keys(cls)}
        kinds = {word: kind for kind, word in SIMPLE.items()}
        own |= {name: kinds[node["type"]] for name, node in cls.DEPRECATED.items()}
        return {name: converted(own[name], value) for name, value in values.items()}

    def recorded(self) -> dict[str, Any]:
        """The block as the records of results have it: plain values, by the names that they know.

        A value that is None is left out.
        """
        known: Any = type(self)  # which has a hash, whatever mypy takes it for
        own = {name: getattr(self, field) for name, field in _recorded_names(known).items()}
        return {name: plain(value) for name, value in own.items() if value is not None}

    def some_recorded(self, names: Iterable[str]) -> dict[str, Any]:
        """Some keys of the block, by their names in records.

        Raises:
            KeyError: it has no such key.
        """
        known: Any = type(self)
        own = _recorded_names(known)
        return {name: plain(getattr(self, own[name])) for name in names}


def schema_of(cls: type[Block], is_partial: bool = False) -> dict[str, Any]:
    """JSON Schema of a block.

    Args:
        cls: The block's class.
        is_partial: For some of its keys, which change another block: without defaults.
    """
    properties = {}
    own = {f.name: f for f in _keys(cls)}
    for field in own.values():
        words = field.metadata["schema"]
        if "x-partial" in words:
            properties[field.name] = {"type": "object", "default": {}, **words}
            continue
        properties[field.name] = _schema_of_type(field.type) | words
        default = _default(field)
        if not (is_partial or default is MISSING or isinstance(default, Block)):
            properties[field.name]["default"] = plain(default)
    required = [name for name, f in own.items() if _is_required(f)]
    found = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties | cls.DEPRECATED,
    }
    return found | ({"required": required} if required and not is_partial else {}) | cls.WORDS


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Block):
        return value.recorded()
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def converted(hint: Any, value: Any) -> Any:
    """A checked value as its type has it: 12.0 is an integer to JSON Schema, and 1 a number."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, float):
        return hint(value)
    if origin is tuple:
        return tuple(converted(inner[0], each) for each in value)
    if origin is types.UnionType or origin is typing.Union:
        (own,) = (h for h in inner if (typing.get_origin(h) is tuple) == isinstance(value, list))
        return converted(own, value)
    if origin is Mapping:
        return frozen({name: converted(inner[1], each) for name, each in value.items()})
    if isinstance(hint, type) and issubclass(hint, Block):
        return hint.made_of(value)
    return value


def frozen(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same mapping, which nobody can change."""
    return types.MappingProxyType(dict(values))


@functools.cache
def _recorded_names(cls: Any) -> dict[str, str]:
    """Name of each key in records -> of its field."""
    return {field.metadata["recorded"] or field.name: field.name for field in _keys(cls)}


def _keys(cls: type[Block]) -> list[Field[Any]]:
    own: Any = cls  # a dataclass: made so by `block`
    return [field for field in fields(own) if "schema" in field.metadata]


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return MISSING if field.default is None else field.default


def _is_required(field: Field[Any]) -> bool:
    is_partial = "x-partial" in field.metadata["schema"]
    return not is_partial and field.default is MISSING and field.default_factory is MISSING


def _schema_of_type(hint: Any) -> dict[str, Any]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in SIMPLE:
        return {"type": SIMPLE[hint]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is Mapping and isinstance(inner[1], type) and issubclass(inner[1], Block):
        return {"type": "object", "additionalProperties": schema_of(inner[1])}
    if origin is tuple:
        length = {} if inner[-1] is ... else {"minItems": len(inner), "maxItems": len(inner)}
        return {"type": "array", "items": _schema_of_type(inner[0]), **length}
    if origin is types.UnionType or origin is typing.Union:
        options = [_schema_of_type(each) for each in inner if each is not types.NoneType]
        return options[0] if len(options) == 1 else {"oneOf": options}
    if isinstance(hint, type) and issubclass(hint, Block):
        return schema_of(hint)
    return {"type": "object"}
