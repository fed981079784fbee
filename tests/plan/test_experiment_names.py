"""One grammar of names, held wherever one comes in."""

import shlex
import subprocess
from pathlib import Path

import pytest

from sightlines.check import main as check_config
from sightlines.core.errors import ConfigError
from sightlines.plan.experiment import Experiment
from sightlines.plan.experiment_names import config_of, name_of, named, require_name
from sightlines.sharing import pull, reproduce, share, verify

ROOT = Path(__file__).resolve().parents[2]
GOOD = ("smoke", "v1.2", "例え", "naïve", "nai\u0308ve", "हिन्दी", "a=1,b+c", "_x", "1e3", "x" * 200)
BAD = {
    "my exp": "my_exp",
    "my\texp": "my_exp",
    "-x": "x",
    ".x": "x",
    "a$b": "a_b",
    "it's": "it_s",
    'a"b': "a_b",
    "a{b}": "a_b",
    "a#b": "a_b",
    "a:b": "a_b",
    "a@b": "a_b",
    "a*": "a",
    "a;b": "a_b",
    "a\\b": "a_b",
    "a%b": "a_b",
    "a\nb": "a_b",
    "例" * 67: "例" * 66,
}


@pytest.mark.parametrize("name", GOOD)
def test_names_that_are_right(name, tmp_path):
    require_name(name)
    assert named(name) == name and name_of(Path(f"workflow/config/{name}.yaml")) == name
    assert config_of(name, tmp_path) == tmp_path / f"{name}.yaml"


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_cannot_be_is_refused_with_the_command_that_renames_it(name, tmp_path):
    config = tmp_path / f"{name}.yaml"
    config.touch()
    with pytest.raises(ConfigError) as caught:
        name_of(config)
    _, _, command = str(caught.value).partition("mv -- ")
    assert shlex.split(command) == [str(config), str(tmp_path / f"{BAD[name]}.yaml")]
    require_name(BAD[name])
    subprocess.run(["mv", "--", *shlex.split(command)], check=True)
    assert name_of(tmp_path / f"{BAD[name]}.yaml") == BAD[name]
    with pytest.raises(ConfigError, match=BAD[name]):
        named(name)


@pytest.mark.parametrize("name", ["", "a/b"])
def test_no_name_leaves_its_folder(name):
    with pytest.raises(ConfigError):
        require_name(name)


def test_two_files_of_one_name_are_refused_and_each_alone_is_found(tmp_path):
    for ending in ("yml", "yaml"):
        (tmp_path / f"x.{ending}").touch()
        if ending == "yml":
            assert config_of("x", tmp_path) == tmp_path / "x.yml"
    for path in (tmp_path / "x.yml", tmp_path / "x.yaml"):
        with pytest.raises(ConfigError, match=r"x\.yaml and \S*x\.yml are two"):
            name_of(path)
    with pytest.raises(ConfigError, match="rename or delete"):
        config_of("x", tmp_path)
    (tmp_path / "x.yml").unlink()
    assert config_of("x", tmp_path) == tmp_path / "x.yaml"


@pytest.mark.parametrize("command", [share, pull, verify, reproduce, "config"])
def test_every_command_refuses_it(command, monkeypatch, capsys, tmp_path):
    config = tmp_path / "my exp.yaml"
    config.write_text((ROOT / "workflow/config/smoke.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    word = "results/my exp/report.html" if command is reproduce else str(config)
    monkeypatch.setattr("sys.argv", ["command", word])
    if command == "config":
        with pytest.raises(SystemExit) as caught:
            check_config()
        said = str(caught.value)
    else:
        status = verify.main([word]) if command is verify else command.main()
        assert status == 1
        said = capsys.readouterr().err
    assert "ConfigError" in said and "my exp" in said and "my_exp" in said
    with pytest.raises(ConfigError):
        Experiment.open(config)


@pytest.mark.parametrize("target", ["run", "share", "pull", "verify"])
def test_make_hands_any_name_on_as_one_word(target):
    config = "workflow/config/it's my exp.yaml"
    command = ["make", "--no-print-directory", "-n", target, f"CONFIG={config}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "my exp.yaml" in line]
    assert any(config in shlex.split(line) for line in lines if not line.endswith("\\"))
