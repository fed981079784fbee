import json
import logging
import re

from PIL import Image

from sightlines.core.files import write_json, write_table
from sightlines.jobs.command import Job
from sightlines.run.report import main
from tests.figures import tables as synthetic
from tests.report.synthetic_records import record


def test_the_command_reads_files_and_records(tmp_path):
    config = synthetic.config()
    tables = synthetic.all_tables(config, names=("accuracy.csv", "layers.csv"))
    dataset = {"kind": "imagefolder", "counts": {"train": 7919, "test": 1013}}
    picture = tmp_path / "accuracy_by_fraction.png"
    Image.new("RGB", (1400, 1000), "white").save(picture)
    for name in ("accuracy.csv", "layers.csv"):
        write_table(tmp_path / name, tables[name])
    write_json(tmp_path / "dataset.json", dataset)
    write_json(tmp_path / "records/train/vit_small/f100/s0.json", record("train/vit_small/f100/s0"))
    inputs = {
        "pictures": [picture],
        "tables": [tmp_path / "accuracy.csv", tmp_path / "layers.csv"],
        "dataset": [tmp_path / "dataset.json"],
    }
    settings = config | {"figures": ["accuracy_by_fraction"]}
    outputs = {"report": [tmp_path / "report.html"]}
    main(Job("report", settings, inputs, outputs, tmp_path, logging.getLogger("test")))
    html = (tmp_path / "report.html").read_text()
    assert "7,919 train" in html
    assert re.search(r">train</td><td>1</td><td>61\.5 s</td>", html)
    assert 'width="672" height="480"' in html
    assert json.dumps(config["experiment"])[1:-1] in html
