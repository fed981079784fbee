"""One result made again, beside the one that is here, and compared."""

import pytest

from tests.workflow.conftest import ROOT, ok, tool

pytestmark = pytest.mark.workflow
R = "results/smoke"


def reproduce(folder, result, *options):
    config = ("--config", ROOT / "workflow/config/smoke.yaml")
    arguments = (f"{R}/{result}", *config, *options)
    return tool(folder, "python", "-m", "sightlines.sharing.reproduce", *map(str, arguments))


@pytest.mark.parametrize(
    "result",
    [
        "tables/cka.parquet",
        pytest.param("figures/fig01_cka_within.svg", marks=pytest.mark.thorough),
        pytest.param("dumps/gram/resnet/f100/s0", marks=pytest.mark.thorough),
    ],
)
def test_the_same_bytes_again(copied, result):
    name = f"{result}.safetensors" if result.startswith("dumps") else result
    before = (copied / R / name).stat().st_mtime_ns
    said = ok(reproduce(copied, name))
    assert f"{R}/{name}: identical" in said
    assert (copied / R / name).stat().st_mtime_ns == before
    assert not (copied / ".cache/sightlines/reproduce").exists()


@pytest.mark.thorough
def test_nothing_but_its_own_job_is_run(copied, tmp_path):
    """Other networks would give another table; those that are recorded are read."""
    text = (ROOT / "workflow/config/smoke.yaml").read_text()
    assert "steps: 12" in text
    config = tmp_path / "smoke.yaml"
    config.write_text(text.replace("steps: 12", "steps: 13"))
    said = ok(reproduce(copied, "tables/cka.parquet", "--config", config))
    assert f"{R}/tables/cka.parquet: identical" in said


@pytest.mark.slow
def test_another_number_is_told_with_its_size(copied):
    table = copied / R / "tables/accuracy.csv"
    lines = table.read_text().splitlines()
    column = lines[0].split(",").index("loss_test")
    cells = lines[1].split(",")
    cells[column] = f"{float(cells[column]) * 1.001:.9g}"
    table.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    done = reproduce(copied, "tables/accuracy.csv")
    assert done.returncode == 1 and "beyond 0, largest difference 0.00" in done.stdout
    assert "within 0.01" in ok(reproduce(copied, "tables/accuracy.csv", "--tolerance", "0.01"))


def test_what_cannot_be_made_again_is_told(copied):
    done = reproduce(copied, "tables/nothing.csv")
    assert done.returncode == 1 and "no record names" in done.stderr
    (copied / R / "dumps/gram/resnet/f100/s0.safetensors").unlink()
    done = reproduce(copied, "tables/cka.parquet")
    assert done.returncode == 1 and "are not here" in done.stderr
