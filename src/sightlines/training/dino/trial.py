"""Whether a network of timm can be shown DINO's crops, small ones among them: it is shown some.

A config is checked before torch is started, so the question goes to a process of its own, which
builds the student without memory for its weights (torch's meta device). The answers lie in
`.cache/sightlines/dino/`, named by what was asked, the versions of timm and torch, and this code.
"""

import functools
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from sightlines.core.errors import ConfigError
from sightlines.core.files import write_json
from sightlines.plan.architectures import NOT_ARCHITECTURE
from sightlines.plan.code_digest import code_digest
from sightlines.training.dino.sizes import nearest_px

CACHE = Path(".cache/sightlines/dino")
MULTIPLES = (1, 4, 8, 16, 32)
"""Of patches, or of pixels, that maps can be halved some times."""


def require_crops(
    model: Mapping[str, Any], size_px: int, local_px: int, patch_px: int, is_default: bool
) -> None:
    """Refuse what cannot be run on large or on small crops.

    Args:
        model: Settings of a network of timm.
        size_px: Side of the large crops.
        local_px: Side of the small ones.
        patch_px: Of a ViT; else 1.
        is_default: The config leaves `local_px` open.

    Raises:
        ConfigError: naming the nearest side that it can be shown.
    """
    settings = {key: value for key, value in model.items() if key not in NOT_ARCHITECTURE}
    found = _ask(json.dumps([settings, size_px, local_px, patch_px], sort_keys=True))
    if not found["problem"]:
        return
    name = model["name"]
    if not found["works_at"]:
        raise ConfigError(
            f"train.objective dino: {name} cannot be trained so on images of {size_px} px "
            f"({found['problem']}); take another network, or objective: supervised"
        )
    told = f"dino.local_px {local_px}" + (", three sevenths of the images," if is_default else "")
    whole = " (small parts of an image are scaled up to it)" * (found["works_at"] == size_px)
    raise ConfigError(
        f"{told} cannot be shown to {name} ({found['problem']}): set local_px to "
        f"{found['works_at']}{whole}, or local_crops to 0"
    )


@functools.cache
def _ask(text: str) -> dict[str, Any]:
    versions = [metadata.version(package) for package in ("timm", "torch")]
    code = code_digest("sightlines.training.dino.trial", "sightlines.models.timm")
    identity = json.dumps([text, versions, code])
    path = CACHE / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
    try:
        known = json.loads(path.read_text())
        if isinstance(known, dict) and known.keys() == {"problem", "works_at"}:
            return known
    except (OSError, ValueError):
        pass
    command = [sys.executable, "-m", "sightlines.training.dino.trial"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise ConfigError(
            f"timm could not be asked about {json.loads(text)[0]['name']}: {done.stderr[-2000:]}"
        ) from error
    write_json(path, found)
    return found


def tried(settings: dict[str, Any], size_px: int, local_px: int, patch_px: int) -> dict[str, Any]:
    """What becomes of small crops, and the side nearest to theirs that the network can be shown.

    Returns:
        `problem`, empty where there is none; and `works_at`, 0 where not even large crops can be
        shown.
    """
    problem = _problem(settings, size_px, local_px)
    if not problem:
        return {"problem": "", "works_at": local_px}
    if whole := _problem(settings, size_px, size_px):
        return {"problem": whole, "works_at": 0}
    wanted = float(local_px)
    sides = {nearest_px(wanted, patch_px * multiple, size_px) for multiple in MULTIPLES}
    sides = {side for side in sides if side % patch_px == 0} - {local_px} | {size_px}
    nearest = sorted(sides, key=lambda side: (abs(side - local_px), side))
    works = next(side for side in nearest if not _problem(settings, size_px, side))
    return {"problem": problem, "works_at": works}


def _problem(settings: dict[str, Any], size_px: int, local_px: int) -> str:
    """What goes wrong when a student is shown two large and two small crops; empty for nothing."""
    import torch

    from sightlines.models.building import build
    from sightlines.training.dino.head import Head, Learner, width_of

    try:
        with torch.device("meta"):
            backbone = build(settings, size_px, 0, seed=0)
            head = Head(width_of(backbone), 2, 2, 2)
        learner = Learner(backbone, head, size_px, local_px)
        for side in (size_px, local_px):
            learner(torch.empty(2, 3, side, side, device="meta"))
    except Exception as error:  # whatever a network of another library says
        first = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {first}"[:300]
    return ""


if __name__ == "__main__":
    print(json.dumps(tried(*json.loads(sys.stdin.read()))))
