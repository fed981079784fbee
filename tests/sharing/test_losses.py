"""No result is left out and no file of one's own taken away without a word."""

import json
import os
import shutil
from pathlib import Path

import pytest

from sightlines.core.errors import ShareError
from sightlines.core.files import sha256
from sightlines.sharing.losses import left_out, only_here
from sightlines.sharing.pull import pull
from sightlines.sharing.share import _require_kept
from tests.sharing import repository
from tests.sharing.repository import CONFIG, run
from tests.sharing.test_adopt import DATA, LOGS, MODEL, TABLE, make

pytestmark = pytest.mark.whole
NOTE, COPY = "results/mine/tables/note.csv", "results/mine/tables/copy.csv"


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """Three results that were shared, the table in two versions."""
    folder = tmp_path_factory.mktemp("losses") / "origin"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        repository.begin(folder)
        make(DATA, [], "images")
        make(MODEL, [DATA], "weights")
        make(TABLE, [MODEL], "earlier numbers")
        repository.share("Earlier")
        make(TABLE, [MODEL], "numbers")
        repository.share("Later")
    return folder


@pytest.fixture
def clone(origin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("git", "clone", "--quiet", str(origin), "clone")
    monkeypatch.chdir("clone")
    return tmp_path / "clone"


def refused(*what, force=False):
    with pytest.raises(ShareError) as stop:
        pull("mine", list(what), force)
    return str(stop.value)


# -- files of one's own -------------------------------------------------------------------------


def test_a_pull_gives_up_what_a_commit_shared_and_nothing_else(clone):
    run("git", "checkout", "--quiet", "HEAD~1")
    pull("mine", ["tables"], False)
    assert Path(TABLE).read_text() == "earlier numbers"
    run("git", "checkout", "--quiet", "main")
    pull("mine", [], False)
    assert Path(TABLE).read_text() == "numbers"
    # Files of one's own, though DVC has them in its cache: nobody could name them any more.
    own = {TABLE: "my numbers", NOTE: "note", COPY: "numbers"}
    for path, text in own.items():  # DVC takes a copy for a new name of the same file
        Path(path).write_text(text)
    run("dvc", "commit", "--quiet", "--force", "mine")
    run("git", "checkout", "--quiet", "dvc.lock")
    assert only_here(["results/mine/tables"], "mine") == sorted(own)
    assert only_here(["results/mine/models"], "mine") == []
    said = refused("tables")
    assert "3 files" in said and "FORCE=1" in said
    assert {path: Path(path).read_text() for path in own} == own
    pull("mine", ["tables"], True)
    assert Path(TABLE).read_text() == "numbers" and not Path(NOTE).exists()


def test_images_of_another_dataset_stay(clone):
    other = Path("data/other/images.npy")
    other.parent.mkdir(parents=True)
    other.write_text("other images")
    assert str(other) in refused("images") and other.read_text() == "other images"


def test_a_result_that_is_as_recorded_stays_though_the_shared_ones_lack_it(clone):
    """Its pattern was in .dvcignore when results were shared, and is no longer."""
    pull("mine", [], False)
    Path(".dvcignore").write_text("*.csv\n")
    run("dvc", "commit", "--quiet", "--force", "mine")
    Path(".dvcignore").unlink()
    run("git", "commit", "--quiet", "--all", "--message", "Without tables")
    assert TABLE in refused("tables") and Path(TABLE).read_text() == "numbers"


# -- files that DVC leaves out ------------------------------------------------------------------


PATTERNS = [
    (".dvcignore", "*.csv", TABLE, ".dvcignore:1:*.csv"),
    (".dvcignore", "# a word\n\n/results/mine/models/", MODEL, ".dvcignore:3:/results/mine"),
    ("results/mine/.dvcignore", "tables", TABLE, "results/mine/.dvcignore:1:tables"),
    ("data/.dvcignore", "*.npy", DATA, "data/.dvcignore:1:*.npy"),
    (".dvcignore", "*.lock", "dvc.lock", ".dvcignore:1:*.lock"),
    (".dvcignore", "*.json", "results/mine/provenance.json", ".dvcignore:1:*.json"),
]


def test_share_and_pull_name_the_pattern(origin, monkeypatch):
    monkeypatch.chdir(origin)
    _require_kept("mine", CONFIG, lambda _: True)
    for place, pattern, path, told in PATTERNS:
        before = Path(place).read_text() if Path(place).exists() else None
        Path(place).write_text(f"{pattern}\n")
        with pytest.raises(ShareError) as stop:
            _require_kept("mine", CONFIG, lambda _: True)
        assert told in str(stop.value) and path in str(stop.value)
        said = refused() if path in LOGS else told
        assert told in said and (path in said or path not in LOGS)
        if before is None:
            Path(place).unlink()
        else:
            Path(place).write_text(before)


def test_what_is_excepted_again_is_kept(origin, monkeypatch):
    monkeypatch.chdir(origin)
    text = "*.csv\n*.npy\n!/results/**\n!/data/**\n"
    before = Path(".dvcignore").read_text()
    Path(".dvcignore").write_text(text)
    _require_kept("mine", CONFIG, lambda _: True)
    Path(".dvcignore").write_text(before)


def test_nothing_is_left_out_by_the_projects_own_patterns(clone):
    shutil.copy(repository.ROOT / ".dvcignore", ".dvcignore")
    assert left_out([*LOGS, "results/mine/report.html", "dvc.lock"]) == {}
    assert set(left_out(["data/x.part", "src/__pycache__/a.pyc"])) == {
        "data/x.part",
        "src/__pycache__/a.pyc",
    }


def test_results_that_were_left_out_when_they_were_shared_are_missed(origin, tmp_path, monkeypatch):
    """By a version that did not look: all that there is comes, and the rest is named."""
    copy = tmp_path / "copy"
    shutil.copytree(origin, copy, symlinks=True)
    monkeypatch.chdir(copy)
    Path(".dvcignore").write_text("*.csv\n")
    repository.share("Without tables")
    Path(".dvcignore").write_text("")
    run("git", "commit", "--quiet", "--all", "--message", "No pattern")
    run("git", "clone", "--quiet", str(copy), str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    said = refused()
    assert "1 recorded files are not among" in said and TABLE in said and "make share" in said
    assert Path(MODEL).read_text() == "weights" and not Path(TABLE).exists()
    pull("mine", ["models"], False)


def test_what_git_ignores_is_told_as_git_tells_it(clone):
    """DVC reads no file of its own that git ignores."""
    Path(".git/info/exclude").write_text("data.dvc\ndvc.lock\n")
    said = refused()
    assert "git-ignored" in said and "git check-ignore -v" in said


# -- provenance of other commits ----------------------------------------------------------------


def test_a_commit_with_a_damaged_provenance_gives_nothing_back(clone):
    pull("mine", ["tables"], False)
    path = Path("results/mine/provenance.json")
    good = path.read_text()
    path.write_text("{")
    run("git", "commit", "--quiet", "--all", "--message", "Damaged")
    path.write_text(good)
    Path(TABLE).write_text("earlier numbers")
    assert only_here(["results/mine/tables"], "mine") == []
    Path(TABLE).write_text("mine")
    assert only_here(["results/mine/tables"], "mine") == [TABLE]


def test_a_shared_file_under_a_new_name_is_ones_own(clone):
    pull("mine", ["tables"], False)
    Path(TABLE).rename(COPY)
    assert only_here(["results/mine/tables"], "mine") == [COPY]


def test_what_this_folders_provenance_records_is_a_result_of_now(clone):
    """Made here since the last commit, and not shared."""
    pull("mine", ["tables"], False)
    path = Path("results/mine/provenance.json")
    found = json.loads(path.read_text())
    Path(TABLE).write_text("earlier numbers")
    found["jobs"][LOGS[TABLE]]["outputs"][TABLE] = [
        "0" * 64,
        15,
    ]
    path.write_text(json.dumps(found))
    assert only_here(["results/mine/tables"], "mine") == []  # another version is recorded
    found["jobs"][LOGS[TABLE]]["outputs"][TABLE] = [sha256(Path(TABLE)), 15]
    path.write_text(json.dumps(found))
    assert only_here(["results/mine/tables"], "mine") == [TABLE]


def test_nothing_here_is_nothing_at_stake(clone):
    assert not os.path.lexists("results/mine/tables")
    assert only_here(["results/mine/tables", "data.dvc"], "mine") == []
