"""Import one architecture of timm without all the others and without torchvision.

``import timm`` loads every architecture, and with them torchvision and torch's compiler: 1.8 of the
4.3 CPU seconds of a small dump that starts by itself. In the warm process of `jobs/warm.py`
timm is there, and is taken as it is. `timm_module` loads the one file that is wanted and what this
needs. The packages `timm` and `timm.models` stay unopened: their
`__init__` runs when somebody first asks for a name that it defines. While the file is loaded,
names under `torchvision` are empty stand-ins (timm compares with one class of it and uses it for
image transforms); they are taken away afterwards, together with `timm.data`, so that a later
import gets the real ones. Where timm or torchvision has been imported before, all of this is left
out. The one thing lost for the life of the process is timm's feature extraction by torch.fx.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from types import ModuleType
from typing import Any

_PACKAGES = ("timm", "timm.models")
_REFUSED = "torchvision.models"
"""timm does without this one where importing it fails."""


def timm_module(name: str) -> ModuleType:
    """One module of timm, imported fast.

    Args:
        name: Such as ``models.vision_transformer``.
    """
    full = f"timm.{name}"
    package = sys.modules.get("timm")
    is_open = package is not None and not isinstance(package, _Unopened)
    if full in sys.modules or is_open or "torchvision" in sys.modules:
        return importlib.import_module(full)
    for each in _PACKAGES:
        _add_unopened(each)
    with _stand_ins():
        return importlib.import_module(full)


class _Unopened(ModuleType):
    """A package whose `__init__` runs when a name is asked for that is not there yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec = self.__spec__
        assert spec is not None and spec.loader is not None
        spec.loader.exec_module(self)
        return getattr(self, name)


def _add_unopened(name: str) -> None:
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"{name} is not installed", name=name)
    module = importlib.util.module_from_spec(spec)
    module.__class__ = _Unopened
    vars(module)["__version__"] = metadata.version("timm")
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if name.split(".")[:2] == ["timm", "data"] or isinstance(module, _StandIn):
                del sys.modules[name]
        vars(sys.modules["timm"]).pop("data", None)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for torchvision and for each of its parts."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A stand-in's spec, or None for every other package."""
        del path, target
        if fullname.split(".")[0] != "torchvision":
            return None
        if fullname.startswith(_REFUSED):
            raise ModuleNotFoundError(f"{fullname} is left out here", name=fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """An empty module."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


class _Placeholder(type):
    """Class of classes that have every attribute (InterpolationMode.BILINEAR and the like)."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"{cls.__name__}.{name}"


class _StandIn(ModuleType):
    """A module in which every name is a class that nothing is an instance of."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Placeholder(name, (), {})
