import json
import logging
import re

from sightlines.core.files import write_json, write_table
from sightlines.jobs.command import Job
from sightlines.run.report import main
from tests.figures import tables as synthetic
from tests.report.synthetic_records import record


def test_the_command_reads_files_and_records(tmp_path):
    config = synthetic.config()
    tables = synthetic.all_tables(config, names=("accuracy.csv", "layers.csv"))
    dataset = {"kind": "imagefolder", "counts": {"train": 7919, "test": 1013}}
    svg = tmp_path / "accuracy_by_fraction.svg"
    svg.write_text('<svg width="96pt" height="72pt"></svg>\n')
    for name in ("accuracy.csv", "layers.csv"):
        write_table(tmp_path / name, tables[name])
    write_json(tmp_path / "dataset.json", dataset)
    write_json(tmp_path / "records/train/vit_small/f100/s0.json", record("train/vit_small/f100/s0"))
    inputs = {
        "figures": [svg],
        "tables": [tmp_path / "accuracy.csv", tmp_path / "layers.csv"],
        "dataset": [tmp_path / "dataset.json"],
    }
    settings = config | {"figures": ["accuracy_by_fraction"]}
    outputs = {"report": [tmp_path / "report.html"]}
    main(Job("report", settings, inputs, outputs, tmp_path, logging.getLogger("test")))
    html = (tmp_path / "report.html").read_text()
    assert "7,919 train" in html
    assert re.search(r">train</td><td>1</td><td>61\.5 s</td>", html)
    assert 'width="128" height="96"' in html
    assert json.dumps(config["experiment"])[1:-1] in html
