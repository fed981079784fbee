import json
import logging
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sightlines.core.errors import DiskError, ResultError
from sightlines.core.files import write_table
from sightlines.figures import style
from sightlines.figures.accuracy_by_fraction import draw
from sightlines.jobs.command import Job
from sightlines.plan.experiment import FIGURE_FILES
from sightlines.run import figure as command
from tests.figures import tables as synthetic

CONFIG = synthetic.config()


def job(folder, inputs):
    outputs = {end: [folder / f"a.{end}"] for end in FIGURE_FILES}
    log = logging.getLogger("test")
    return Job("draw/a", CONFIG, inputs, outputs, folder, log, member="accuracy_by_fraction")


def test_the_command_writes_pictures_and_numbers(tmp_path):
    table = tmp_path / "accuracy.csv"
    write_table(table, synthetic.accuracy(CONFIG))
    command.main(job(tmp_path, {"tables": [table]}))
    assert (tmp_path / "a.svg").read_bytes().rstrip().endswith(b"</svg>")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    numbers = pd.read_csv(tmp_path / "a.csv")
    own = numbers[numbers["series"] == CONFIG["labels"]["vit_small"]]
    table = synthetic.accuracy(CONFIG).query("model == 'vit_small' and fraction != 'f000'")
    assert sorted(own["y"]) == pytest.approx(sorted(100 * table["accuracy_test"]), rel=1e-8)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ResultError, match=r"not among the inputs: accuracy\.csv"):
        command.main(job(tmp_path, {}))


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    figure = draw({"accuracy.csv": synthetic.accuracy(CONFIG)}, CONFIG)
    with pytest.raises(DiskError, match="cannot write"):
        style.save(figure, {"svg": blocker / "a.svg", "png": blocker / "a.png"})
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.whole
def test_run_by_hand_without_pyplot_or_torch(tmp_path):
    write_table(tmp_path / "accuracy.csv", synthetic.accuracy(CONFIG))
    code = (
        "import runpy, sys\n"
        "runpy.run_module('sightlines.run.figure', run_name='__main__')\n"
        "assert 'torch' not in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, "accuracy_by_fraction", "--config", json.dumps(CONFIG)]
    command += ["--input", "accuracy.csv", "accuracy.csv", "--output", "svg", "a.svg"]
    command += ["--output", "png", "a.png", "--log", "logs/draw/a.log"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    record = json.loads(Path(tmp_path / "records/draw/a.json").read_text())
    assert sorted(record["outputs"]) == ["a.png", "a.svg"]
