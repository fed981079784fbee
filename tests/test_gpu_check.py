"""`make gpu-check` without a GPU: all of it at a reduced size, with packages from a folder."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("is_packed", [True, False], ids=["wheel", "folder"])
def test_it_passes_on_a_processor_and_leaves_few_files(tmp_path, is_packed):
    packages, out = tmp_path / "packages", tmp_path / "out"
    packages.mkdir()
    # What no environment has: the tests that are started see it.
    if is_packed:
        with zipfile.ZipFile(packages / "sightlines_carried-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr("sightlines_carried.py", "")
    else:
        (packages / "sightlines_carried.py").write_text("")
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, importlib.util, sys\n"
        "def told():\n"
        "    place = importlib.util.find_spec('sightlines_carried')\n"
        f"    with open({str(tmp_path / 'seen')!r}, 'a') as seen:\n"
        "        print(sys.orig_argv, place, file=seen)\n"
        "atexit.register(told)\n"
    )
    words = ["make", "gpu-check", f"PYTHON={sys.executable}", "SETUP=no", "MINUTES=0.5"]
    words += [f"OUT={out}", f"PACKAGES={packages}"]
    done = subprocess.run(
        words,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    files = sorted(path.name for path in out.iterdir())
    assert len(files) <= 8 and {"report.md", "summary.json", "tests.txt"} <= set(files)
    found = json.loads((out / "summary.json").read_text())
    assert not found["failed"] and "none" in found["machine"]["gpu"]
    assert "skipped" in found["tests"]
    assert found["products"]["fp32_tflops"] > 0
    for name in ("vit", "resnet"):
        step, gram = found["steps"][name], found["grams"][name]
        assert step["of_bf16_products"] > 0 and step["peak_mib"] >= 0 and gram["tflops"] > 0
        trained = found["networks"][name]
        assert trained["steps"] >= 20 and 0 < trained["accuracy"] < 1
        history = pd.read_csv(out / f"history_{name}.csv")
        assert history["step"].max() == trained["steps"]
    scores = pd.read_csv(out / "accuracy.csv")
    assert scores["accuracy_test"].tolist() == [
        found["networks"][n]["accuracy"] for n in ("vit", "resnet")
    ]
    heads = pd.read_csv(out / "attention_distance.csv")
    assert len(heads) == 2 * 3 and heads["relative"].between(0, 2).all()
    seen = (tmp_path / "seen").read_text().splitlines()
    assert any("pytest" in line and "sightlines_carried.py" in line for line in seen), seen


def test_a_folder_of_packages_that_is_not_there_is_refused(tmp_path):
    script = [sys.executable, str(ROOT / "benchmarks" / "gpu_check.py")]
    words = ["--packages", str(tmp_path / "gone"), "--out", str(tmp_path / "out")]
    done = subprocess.run([*script, *words], capture_output=True, text=True)
    assert done.returncode and str(tmp_path / "gone") in done.stderr
