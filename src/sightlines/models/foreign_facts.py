"""What planning asks about networks of other libraries; a process of its own answers, once."""

import functools
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

from sightlines.core.errors import ConfigError, SightlinesError
from sightlines.core.files import write_json
from sightlines.plan.code_digest import code_digest

CACHE = Path(".cache/sightlines")
CLASSES = 3
"""Of the network that planning asks about: no answer depends on it."""
MODULES = {"transformers": "transformers", "open_clip": "open_clip"}
"""Optional extras, and the package that each brings."""
DISTRIBUTIONS = {"transformers": "transformers", "open_clip": "open-clip-torch"}


def require(extra: str) -> None:
    """Refuse where a library is not installed.

    Raises:
        ConfigError: with the command that installs it.
    """
    if util.find_spec(MODULES[extra]) is None:
        raise ConfigError(
            f"family: {extra} needs the package {DISTRIBUTIONS[extra]}, which is not installed: "
            f"pip install 'sightlines[{extra}]', or in a clone make setup"
        )


def versions(extra: str) -> list[str]:
    """The library and torch, with their versions.

    Raises:
        ConfigError: the library is not installed.
    """
    require(extra)
    return [f"{name}=={metadata.version(name)}" for name in (DISTRIBUTIONS[extra], "torch")]


def ask(module: str, extra: str, settings: dict[str, Any], size_px: int) -> dict[str, Any]:
    """What one forward pass shows: `foreign.facts` and `starts_idle`.

    Args:
        module: That answers when it is run; it calls `answer`.
        extra: The library.
        settings: Of the network.
        size_px: Side of its images.

    Raises:
        ConfigError: the library is not installed, or cannot build or run it so.
    """
    require(extra)
    known = _asked(module, extra, json.dumps([settings, size_px], sort_keys=True))
    if "error" in known:
        raise ConfigError(known["error"])
    return dict(known)


@functools.cache
def _asked(module: str, extra: str, text: str) -> dict[str, Any]:
    code = [code_digest(name) for name in (module, "sightlines.models.foreign")]
    key = hashlib.sha256(json.dumps([text, versions(extra), code]).encode()).hexdigest()[:16]
    path = CACHE / extra / f"{key}.json"
    try:
        found = json.loads(path.read_text())
        if isinstance(found, dict) and "grid" in found:
            return found
    except (OSError, ValueError):
        pass
    done = subprocess.run(
        [sys.executable, "-m", module], input=text, capture_output=True, text=True, check=False
    )
    try:
        given: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise ConfigError(f"{extra} could not be asked: {done.stderr[-2000:]}") from error
    if "error" not in given:
        write_json(path, given)
    return given


def answer(build: Callable[..., Any]) -> None:
    """Read settings and size from standard input, and print what is found."""
    from sightlines.models import foreign, idle

    settings, size_px = json.loads(sys.stdin.read())
    try:
        model = build(settings, size_px, CLASSES).eval()
        found = foreign.facts(model, CLASSES) | {"starts_idle": idle.starts_idle(model)}
    except SightlinesError as error:
        found = {"error": str(error)}
    print(json.dumps(found))


def described(settings: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """What claims and figures know of a model.

    Args:
        settings: With `name` and `acts_as`.
        known: From `ask`.
    """
    role = known["role"] if settings["acts_as"] == "auto" else settings["acts_as"]
    own = {"family": role, "attention": known["attention"], "branches": False}
    own |= {"plain_attention": False, "name": settings["name"]}
    own |= {"pool": known["pool"] or "other"} if "vit" in (role, known["role"]) else {}
    return own | ({"attention_sites": True} if known["attention_sites"] else {})
