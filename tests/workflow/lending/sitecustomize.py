"""On the path of Snakemake's jobs in tests: the first starts no Python that imports torch anew.

Python runs this file at each start. Where it is to be `sightlines.jobs.warm`, the process that has
all libraries (`tests.workflow.lender`) becomes that instead; without it all goes the plain way.
"""

import os
import sys

if sys.orig_argv[1:3] == ["-m", "sightlines.jobs.warm"] and "TESTS_LENDER" in os.environ:
    import contextlib
    import json
    import socket
    from pathlib import Path

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as lender:
        lender.connect(os.environ["TESTS_LENDER"])
        asked = {"words": sys.orig_argv[3:], "folder": str(Path.cwd())}
        asked |= {"environment": {**os.environ}}
        socket.send_fds(lender, [b"?"], [int(sys.orig_argv[3])])
        lender.sendall(json.dumps(asked).encode())
        lender.shutdown(socket.SHUT_WR)
        if lender.recv(1) == b"+":
            os._exit(0)
