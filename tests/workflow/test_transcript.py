"""The transcript in docs/sharing.md, typed again by two people on one server."""

import os
import re
import shutil
import subprocess

import pytest

from tests.making_environments import lend_environment
from tests.workflow.conftest import ROOT, copy_project, is_whole, ok, tool
from tests.workflow.servers import ssh_server

pytestmark = pytest.mark.workflow
PAGE = (ROOT / "docs/sharing.md").read_text()


def transcript():
    """Who types, what, and the lines that follow."""
    block = re.search(r"```console\n(.*?)```", PAGE, re.DOTALL).group(1)
    parts = re.split(r"^(ann|bob)\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    return [(parts[i], parts[i + 1], parts[i + 2].splitlines()) for i in range(0, len(parts), 3)]


def pattern(line):
    """A line of the page: its numbers may be others, and its blanks."""
    words = re.split(r"[\d.,]*\d|\s+", line.strip())
    gaps = re.findall(r"[\d.,]*\d|\s+", line.strip())
    marks = [r"\s+" if gap.isspace() else r"[\d.,]*\d" for gap in gaps]
    return re.escape(words[0]) + "".join(
        mark + re.escape(word) for mark, word in zip(marks, words[1:], strict=True)
    )


def clone(origin, folder):
    ok(tool(origin.parent, "git", "clone", "--quiet", str(origin), str(folder)))
    lend_environment(folder)
    for key, value in (("user.name", "A"), ("user.email", "a@localhost")):
        ok(tool(folder, "git", "config", key, value))
    return folder


@pytest.mark.thorough
def test_the_transcript(smoke, tmp_path):
    hub, seed = tmp_path / "hub", tmp_path / "seed"
    copy_project(smoke, seed)
    (seed / "results").mkdir()
    for words in (["init", "--quiet", "--initial-branch", "main"], ["add", "--all"]):
        ok(tool(seed, "git", *words))
    identity = ["-c", "user.name=A", "-c", "user.email=a@localhost"]
    ok(tool(seed, "git", *identity, "commit", "--quiet", "--message", "Code"))
    ok(tool(seed, "git", "clone", "--quiet", "--bare", str(seed), str(hub)))
    people = {"ann": clone(hub, tmp_path / "ann" / "sightlines")}
    for name in ("results", "data", ".snakemake"):  # ann has run it already
        shutil.copytree(smoke / name, people["ann"] / name, dirs_exist_ok=True)
    with ssh_server(tmp_path / "sshd") as server:
        url = server.url(tmp_path / "store")
        for who, command, expected in transcript():
            if who not in people:
                people[who] = clone(hub, tmp_path / who / "sightlines")
            folder = people[who]
            if "make pull" in command:
                use_key(folder, server)
            said = type_in(folder, command.replace("ssh://lab.example/store", url), server)
            for line in expected:
                line = line.replace("ssh://lab.example/store", url)
                assert re.search(pattern(line), said), f"{command}\n{line!r} is not in:\n{said}"
            if "remote add" in command:
                use_key(folder, server)
    assert is_whole(people["bob"], people["ann"])
    assert "verify = true" in (people["bob"] / ".dvc/config").read_text()


def use_key(folder, server):
    ok(tool(folder, "dvc", "remote", "modify", "--local", "store", "keyfile", server.login_key))


def type_in(folder, command, server):
    """Run a line as it stands in the page, in a person's shell."""
    path = os.pathsep.join([str(folder / ".venv/bin"), os.environ["PATH"]])
    environment = os.environ | server.environment() | {"PATH": path}
    environment.pop("PYTHONPATH", None)
    command = re.sub(r"(?<!\w)make ", "make --no-print-directory ", command)
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
