"""Environments for copies of the project in a moment: their own Python, and our packages."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from sightlines.core.checkout import interpreter

START = "#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"
"""How pip and uv begin a program whose Python has a long path, or one with blanks."""


def make_environment(folder, source="", programs=()):
    """A virtual environment whose Python finds a package folder, and this environment's packages.

    Args:
        source: Folder with the package; of no package where it is empty.
        programs: Names of those that it starts.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (found,) = folder.glob("lib/python*/site-packages")
    lent = sysconfig.get_path("purelib")
    (found / "lent.pth").write_text(f"{source}\n{lent}\n" if source else "")
    for name in programs:
        program = folder / "bin" / name
        _, _, body = (Path(sys.executable).parent / name).read_text().partition("\n")
        program.write_text(START.format(python=folder / "bin" / "python") + body)
        program.chmod(0o755)


def lend_environment(project):
    """Give a copy of the project an environment of its own, as `make setup` would in a minute."""
    here = Path(sys.executable).parent
    programs = [p.name for p in here.iterdir() if (i := interpreter(p)) and i.parent == here]
    make_environment(project / ".venv", project / "src", programs)
    python = project / ".venv/bin/python"
    subprocess.run([python, "-I", project / "src/sightlines/core/checkout.py", "sign"], check=True)
