"""Files that git merges: what cannot be read is said, never taken for absent."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from sightlines.core.errors import ResultError, ShareError
from sightlines.core.files import write_json
from sightlines.sharing.adopt import adopt
from sightlines.sharing.dvc import (
    default_remote,
    is_shared,
    require_repository,
    shared_parts,
    write_stage,
)
from sightlines.sharing.provenance import read_provenance
from sightlines.sharing.pull import pull
from sightlines.sharing.reproduce import reproduce
from sightlines.sharing.session import begin
from sightlines.sharing.share import share
from sightlines.sharing.tracked import read_text, read_yaml
from sightlines.sharing.unpulled import committed
from sightlines.sharing.verify import main as verify

CONFIG = Path("workflow/config/mine.yaml")
PROVENANCE = "results/mine/provenance.json"
TABLES = "results/mine/tables"


def git(*words):
    identity = ("-c", "user.name=A", "-c", "user.email=a@localhost")
    return subprocess.run(["git", *identity, *words], capture_output=True, text=True)


def lock(*experiments, md5="0"):
    outs = {e: {"outs": [{"path": f"results/{e}/tables", "md5": md5 * 32}]} for e in experiments}
    return yaml.safe_dump({"schema": "2.0", "stages": outs})


def write(texts):
    for path, text in texts.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository that shares one experiment, as far as git sees it."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch", "main")
    empty = {"version": 1, "snakemake_records": 6, "experiment": "mine", "jobs": {}, "codes": {}}
    write_json(Path(PROVENANCE), empty | {"shells": {}, "environments": {}})
    write(
        {
            ".dvc/config": "[core]\n    remote = store\n['remote \"store\"']\n    url = /nowhere\n",
            "dvc.lock": lock("mine"),
            "dvc.yaml": "stages:\n  mine:\n    cmd: 'true'\n",
            "data.dvc": "outs:\n- path: data\n",
            CONFIG: "",
        }
    )
    git("add", "--all")
    git("commit", "--quiet", "--message", "Results")
    return tmp_path


def conflict(path, ours, theirs):
    """Two branches change a file, and git cannot merge them."""
    for branch, text in (("bob", theirs), ("ann", ours)):
        git("checkout", "--quiet", "-B", branch, "main")
        Path(path).write_text(text)
        git("commit", "--quiet", "--all", "--message", branch)
    assert "CONFLICT" in git("merge", "bob").stdout


def same(path):
    text = Path(path).read_text()
    lines = text.splitlines(keepends=True)
    return ["".join([*lines[:-1], f"# {who}\n", lines[-1]]) for who in ("ann", "bob")]


USES = {
    "share": lambda: share(CONFIG, stale=True),
    "pull": lambda: pull("mine", [], force=False),
    "begin": lambda: begin(None, "mine", may_recompute=False),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("path", ["dvc.lock", "dvc.yaml", "data.dvc", PROVENANCE])
@pytest.mark.whole
def test_what_could_not_be_merged_is_said_and_stops_all_that_needs_it(project, use, path):
    conflict(path, *same(path))
    before = Path(path).read_bytes()
    with pytest.raises(ShareError) as stop:
        USES[use]()
    said = str(stop.value)
    assert said.startswith(f"{path} has merge conflicts")
    assert f"git checkout --ours {path}" in said and "--theirs" in said and "make share" in said
    assert "elete it" not in said and Path(path).read_bytes() == before


def test_provenance_that_could_not_be_merged_stops_every_reader(project, capsys):
    conflict(PROVENANCE, *same(PROVENANCE))
    for use in (
        lambda: adopt("mine"),
        lambda: reproduce(f"{TABLES}/a.csv", CONFIG, 0.0),
        lambda: read_provenance("mine"),
    ):
        with pytest.raises(ShareError, match=f"{PROVENANCE} has merge conflicts"):
            use()
    assert verify(["mine"]) == 1
    assert f"ShareError: {PROVENANCE} has merge conflicts" in capsys.readouterr().err


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_the_cure_of_a_conflict_gives_one_side_whole(project, side):
    texts = {"ours": lock("mine", md5="1"), "theirs": lock("mine", md5="2")}
    conflict("dvc.lock", *texts.values())
    assert git("checkout", f"--{side}", "dvc.lock").returncode == 0
    assert shared_parts("mine") == [TABLES] and Path("dvc.lock").read_text() == texts[side]


@pytest.mark.parametrize("is_committed", [False, True])
def test_marker_lines_that_were_left_are_told_from_a_merge_that_waits(project, is_committed):
    write({"dvc.lock": lock("mine") + "<<<<<<< HEAD\n=======\n>>>>>>> bob\n"})
    if is_committed:
        git("commit", "--quiet", "--all", "--message", "Merged")
    with pytest.raises(ShareError, match=r"dvc\.lock has merge conflicts") as stop:
        shared_parts("mine")
    assert "--ours" not in str(stop.value)
    cure = "git checkout <commit> -- dvc.lock" if is_committed else "git checkout HEAD -- dvc.lock"
    assert cure in str(stop.value)


@pytest.mark.parametrize("path", ["dvc.lock", "dvc.yaml", "data.dvc"])
@pytest.mark.parametrize("text", ["[", "- 3", "a: [", "[" * 3000, b"\xff\xfe\x00"])
def test_what_is_damaged_is_named_and_not_taken_for_absent(project, path, text):
    Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ShareError, match=f"{path}.*git checkout HEAD -- {path}"):
        is_shared("mine")


@pytest.mark.parametrize(
    "text",
    ["", "stages: 3", "stages: {mine: {}}", "stages: {mine: {outs: [3]}}", "stages: {mine: null}"],
)
def test_a_lock_file_that_holds_no_outputs_is_damaged(project, text):
    Path("dvc.lock").write_text(text)
    with pytest.raises(ShareError, match=r"dvc\.lock is damaged"):
        shared_parts("mine")


def test_a_folder_and_a_link_to_nothing_are_no_absent_files(project):
    Path("dvc.lock").unlink()
    assert read_text(Path("dvc.lock")) is None and read_yaml(Path("dvc.lock")) is None
    Path("dvc.lock").symlink_to("nowhere")
    with pytest.raises(ShareError, match=r"dvc\.lock is a link to nothing"):
        shared_parts("mine")
    Path("dvc.lock").unlink()
    Path("dvc.lock").mkdir()
    with pytest.raises(ShareError, match=r"cannot read dvc\.lock"):
        shared_parts("mine")


def test_a_damaged_provenance_is_not_thrown_away(project):
    Path(PROVENANCE).write_text("{")
    with pytest.raises(ResultError, match=f"git checkout HEAD -- {PROVENANCE}"):
        read_provenance("mine")


def test_an_entry_that_a_merge_lost_is_no_sign_that_nothing_was_shared(project):
    """One side's lock file, taken whole, lacks what the other side shared."""
    Path("dvc.lock").write_text(lock("other"))
    assert is_shared("mine") and is_shared("other") and not is_shared("third")
    with pytest.raises(ShareError, match=r"dvc\.lock names no results of it.*git log -- dvc\.lock"):
        pull("mine", [], force=False)
    Path("dvc.lock").unlink()
    Path("dvc.yaml").unlink()
    assert is_shared("mine")  # git has its provenance


def test_nothing_at_all_is_nothing_shared(project):
    shutil.rmtree("results")
    for path in ("dvc.lock", "dvc.yaml", "data.dvc"):
        Path(path).unlink()
    git("commit", "--quiet", "--all", "--message", "Nothing")
    assert not is_shared("mine") and shared_parts("mine") == []
    Path("dvc.yaml").write_text("# not yet\n")
    assert not is_shared("mine")


def test_without_git_an_archive_of_the_project_shares_nothing(project, monkeypatch):
    for path in ("dvc.lock", "dvc.yaml"):
        Path(path).unlink()
    monkeypatch.setenv("PATH", str(project))
    assert not is_shared("mine")
    Path("dvc.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(ShareError, match=r"dvc\.lock has merge conflicts.*git does not have"):
        is_shared("mine")
    assert committed("mine", {"results/mine/a": 3}) == {"results/mine/a": 3}
    with pytest.raises(ShareError, match="git is not installed"):
        require_repository()


@pytest.mark.parametrize("stages", ["5", "[mine]", "text"])
def test_stages_that_are_none_are_damage(project, stages):
    Path("dvc.yaml").write_text(f"stages: {stages}\n")
    with pytest.raises(ShareError, match=r"dvc\.yaml is damaged"):
        is_shared("mine")


@pytest.mark.parametrize("path", [".dvc/config", ".gitignore", str(CONFIG)])
def test_other_files_that_share_would_stage_are_read_before(project, path):
    write({path: "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> bob\n"})
    with pytest.raises(ShareError, match=f"{path} has merge conflicts"):
        share(CONFIG, stale=True)
    if path == ".dvc/config":
        with pytest.raises(ShareError, match=path):
            default_remote()


def test_a_damaged_pipeline_is_left_as_it_is(project):
    Path("dvc.yaml").write_text("stages: [")
    with pytest.raises(ShareError, match=r"dvc\.yaml is damaged"):
        write_stage("mine", CONFIG)
    assert Path("dvc.yaml").read_text() == "stages: ["
