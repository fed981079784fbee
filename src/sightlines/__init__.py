"""How does a vision model see? Similarity, attention, receptive fields and probes of networks.

    import sightlines as sl

    vit = sl.load("vit_tiny_patch16_224", weights="vit_tiny.safetensors")
    images = sl.images("photographs/", limit=512)
    similarity = sl.cka(sl.grams(vit, images))
    sl.plot.cka_map(similarity)

Names are imported when they are first used. Nothing in the package imports from this file.
"""

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing itself takes a quarter of the time in which a job is handed over
    from typing import Any

_PUBLIC = {
    "load": "sightlines.library.networks:load",
    "Network": "sightlines.library.networks:Network",
    "describe": "sightlines.library.describing:describe",
    "Description": "sightlines.library.describing:Description",
    "images": "sightlines.library.images:images",
    "Images": "sightlines.library.images:Images",
    "grams": "sightlines.library.similarity:grams",
    "Grams": "sightlines.library.similarity:Grams",
    "cka": "sightlines.library.similarity:cka",
    "Similarity": "sightlines.library.similarity:Similarity",
    "attention_distance": "sightlines.library.measuring:attention_distance",
    "receptive_fields": "sightlines.library.measuring:receptive_fields",
    "skip_ratios": "sightlines.library.measuring:skip_ratios",
    "probe": "sightlines.library.measuring:probe",
    "open_results": "sightlines.library.results:open_results",
    "Results": "sightlines.library.results:Results",
    "plot": "sightlines.library.plot",
    "SightlinesError": "sightlines.core.errors:SightlinesError",
}
"""Public name -> module, and the name in it; or a module."""

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> "Any":
    if name == "__version__":
        from importlib.metadata import version

        return version("sightlines")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if sys.platform != "linux":  # core.checkout says why; what else is imported may need Linux
        importlib.import_module("sightlines.core.checkout").require_linux()
    module, _, attribute = _PUBLIC[name].partition(":")
    found = importlib.import_module(module)
    globals()[name] = found = getattr(found, attribute) if attribute else found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
