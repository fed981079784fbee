"""A process with all libraries of jobs, of which each Snakemake's warm process is a fork.

Each Snakemake that runs jobs starts a process that imports torch, timm, pandas and matplotlib: up
to 5 s of a processor, in dozens of tests. Of sightlines a fork has nothing: it reads the code of
its own checkout, as the process does in whose place it stands (`lending/sitecustomize.py`).

    python -m tests.workflow.lender SOCKET
"""

import ctypes
import gc
import json
import os
import runpy
import signal
import socket
import sys

from sightlines.jobs import warm


def serve(listener):
    """Fork for each caller, until the tests end."""
    ctypes.CDLL(None).prctl(warm._DIE_WITH_PARENT, signal.SIGTERM)
    for used in (warm.TABLES, *warm.LIBRARIES.values()):
        warm.load(used)
    for name in [n for n in sys.modules if n.split(".")[0] in ("sightlines", "tests")]:
        del sys.modules[name]
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        caller, _ = listener.accept()
        _, (handle, *_), _, _ = socket.recv_fds(caller, 1, 1)
        with caller.makefile("rb") as said:
            asked = json.loads(said.read())
        if os.fork() == 0:
            listener.close()
            caller.close()
            become(asked, handle)
        os.close(handle)
        caller.send(b"+")
        caller.close()


def become(asked, handle):
    """Be `python -m sightlines.jobs.warm`, started as `sightlines.jobs.start` starts it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    theirs = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in sys.path[1:] if path not in own]
    sys.path[:] = [asked["folder"], *filter(None, theirs), *kept]
    sys.argv = ["sightlines.jobs.warm", str(handle), *asked["words"][1:]]
    runpy.run_module("sightlines.jobs.warm", run_name="__main__", alter_sys=True)
    os._exit(0)


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as own_listener:
        own_listener.bind(sys.argv[1])
        own_listener.listen()
        print("ready", flush=True)
        serve(own_listener)
