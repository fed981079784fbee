import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, SMOKE, snakemake

pytestmark = pytest.mark.workflow


@pytest.mark.thorough
def test_the_embedded_datasets_have_the_hash_that_data_dvc_names(tmp_path):
    """Made anew in an empty folder, data/ is what data.dvc tracks, byte for byte."""
    default = SMOKE.with_name("default.yaml")
    tasks = yaml.safe_load(default.read_text())["transfer"]
    rules = ["prepare_dataset", *(f"prepare_dataset_of_{task}" for task in tasks)]
    done = snakemake(tmp_path, *rules, "--configfile", default)
    assert done.returncode == 0, done.stdout + done.stderr
    dvc = Path(sys.executable).with_name("dvc")
    subprocess.run([dvc, "init", "--quiet", "--no-scm"], cwd=tmp_path, check=True)
    subprocess.run([dvc, "add", "--quiet", "data"], cwd=tmp_path, check=True)
    made, named = (yaml.safe_load((f / "data.dvc").read_text()) for f in (tmp_path, ROOT))
    (here,), (shipped,) = made["outs"], named["outs"]
    assert shipped.pop("cache") is False, "a fresh clone must not name objects that nobody has"
    assert here == shipped
