"""Runs jobs' commands and says which functions of the package each called that its digest lacks.

    python -m tests.workflow.tracing < commands.json

reads a list of commands, each a list of words as in a rule's shell command, and prints a list with
one object each: its exit status, how many functions it called, and those that the digest that it
was given does not cover. Functions of the frame, and what runs while a module is being imported,
are not told. Libraries are imported once; each command has a process of its own.
"""

import json
import os
import runpy
import sys
import threading
import traceback
from inspect import CO_NEWLOCALS
from pathlib import Path
from types import CodeType, FrameType

from sightlines.jobs import warm
from sightlines.plan.code_digest import CACHE, reached
from sightlines.plan.code_reading import is_frame
from sightlines.plan.registry import PACKAGE

LOADING = tuple(f"sightlines.plan.registry:{name}" for name in ("attribute", "has", "load"))
"""How a runner gets at the module that it runs and at what opens its dumps: these are roots."""


class Tracer:
    """Notes which code of the package is called."""

    def __init__(self) -> None:
        self.called: set[CodeType] = set()
        self.other: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Take note of one call, as `sys.setprofile` has it."""
        code = frame.f_code
        if event != "call" or code in self.called or code in self.other:
            return
        if not code.co_filename.startswith(f"{PACKAGE}{os.sep}"):
            self.other.add(code)
        elif not _while_importing(frame) and not _for_the_record(frame.f_back):
            self.called.add(code)


def _for_the_record(frame: FrameType | None) -> bool:
    """Whether the frame of commands itself calls: it opens logs and writes records."""
    while frame is not None and not frame.f_code.co_filename.startswith(f"{PACKAGE}{os.sep}"):
        frame = frame.f_back
    if frame is None:
        return True
    return module_of(frame.f_code).startswith(f"{PACKAGE.name}.jobs.")


def _while_importing(frame: FrameType | None) -> bool:
    """Whether a module is being loaded: the command's own loads only its classes."""
    is_class = frame is not None and not frame.f_code.co_flags & CO_NEWLOCALS
    if is_class and frame.f_back is not None and frame.f_back.f_code.co_name == "<module>":
        return True
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals["__name__"] != "__main__":
            return True
        frame = frame.f_back
    return False


def module_of(code: CodeType) -> str:
    """Full name of the module that code stands in."""
    path = Path(code.co_filename).relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(part for part in path.parts if part != "__init__")


def missed(called: set[CodeType], roots: list[str]) -> list[str]:
    """Called functions that are neither of the frame nor in what the roots reach."""
    spans = reached(*roots)
    found = []
    for code in called:
        module, line = module_of(code), code.co_firstlineno
        if code.co_name == "<module>" or is_frame(module):
            continue
        if not any(s.module == module and s.first <= line <= s.last for s in spans):
            found.append(f"{module}:{code.co_qualname}")
    return sorted(set(found) - {*LOADING})


def run(words: list[str]) -> dict[str, object]:
    """Run one command under a tracer."""
    words = words[words.index("-m") + 1 :]
    words = words[1:] if words[0] == "sightlines.jobs.start" else words
    digest = words[words.index("--code") + 1]
    roots = json.loads((CACHE / f"{digest}.json").read_text())["roots"]
    tracer, status = Tracer(), 0
    sys.argv = list(words)
    threading.setprofile(tracer)
    sys.setprofile(tracer)
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        status = 1 if error.code else 0
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        sys.setprofile(None)
    called = {code for code in tracer.called if code.co_name != "<module>"}
    own = [code for code in called if not is_frame(module_of(code))]
    return {"status": status, "called": len(own), "missed": missed(called, roots)}


def main() -> None:
    """Run all commands that standard input names."""
    for used in (warm.TABLES, ("torch",), warm.DRAWING, warm.JUDGING, warm.CHANGING, warm.PAGE):
        warm.load(used)  # what jobs import, once
    found = []
    for words in json.loads(sys.stdin.read()):
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(2, 1)
            os.write(writable, json.dumps(run(words)).encode())
            os._exit(0)
        os.close(writable)
        with os.fdopen(readable, "rb") as told:
            text = told.read()
        os.waitpid(child, 0)
        found.append(json.loads(text) if text else {"status": -1, "called": 0, "missed": []})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
