"""Import timm without torchvision, for jobs that start, run one network, and end.

timm imports torchvision for parts that are not used here (image transforms, data sets, a class
that it only compares with), and torchvision imports the whole of torch's compiler: 4 of the 8
processor seconds that ``import timm`` costs. While timm is being imported, `import_timm` serves
empty stand-ins under torchvision's names and takes them away afterwards, so that a later
``import torchvision`` gets the real one. Where torchvision is there already, nothing is stood in
for. What does not work after it: `timm.data`'s transforms and data sets, and
`timm.models.create_feature_extractor`; sightlines uses neither.
"""

import contextlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

_NEVER = "torchvision.models"
"""timm does without this one when it fails to import."""


def import_timm() -> ModuleType:
    """Import timm with all its model files, fast.

    Returns:
        The package, as ``import timm`` gives it.
    """
    if "timm" not in sys.modules and "torchvision" not in sys.modules:
        with _stand_ins():
            import timm.layers
            import timm.models
    import timm

    return timm


@contextlib.contextmanager
def _stand_ins() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [n for n, module in sys.modules.items() if isinstance(module, _StandIn)]:
            del sys.modules[name]


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for torchvision and for each of its parts."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A stand-in's spec, or None for every other package."""
        del path, target
        if fullname.split(".")[0] != "torchvision":
            return None
        if fullname.startswith(_NEVER):
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
