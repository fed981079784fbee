import logging

import numpy as np
import pytest

from sightlines.core import files
from sightlines.core.errors import DiskError, ResultError, WeightsError
from sightlines.jobs.command import Job
from sightlines.plan import registry
from sightlines.run import dump
from tests.dumps import making_experiments as making

SECTIONS = {
    "receptive_field": {"images": 3, "channels": 2, "depths": 2},
    "probes": {"token_depths": 2, "token_train": 9, "token_held_out": 4, "token_test": 3},
    "seed": 7,
}
KINDS = registry.members("dumps")


@pytest.fixture
def here(tmp_path):
    """A folder with images, chosen ones, and an untrained ViT."""
    dataset = making.make_dataset(tmp_path / "data")
    making.make_reference(dataset, tmp_path / "reference.safetensors", [13, 9])
    making.make_probes(dataset, tmp_path / "probes.safetensors", (11, 5, 3))
    making.make_splits(dataset, tmp_path / "splits.safetensors")
    making.make_network(tmp_path, making.VIT, dataset)
    return tmp_path


def job_of(here, kind):
    splits = here / f"{registry.declarations('dumps', kind)['SPLITS']}.safetensors"
    dataset, output = here / "data" / "dataset.json", here / "out" / f"{kind}.safetensors"
    return making.make_job(kind, here, dataset, splits, output, **SECTIONS)


def pixels_job(here):
    inputs = {
        "dataset": [here / "data" / "dataset.json"],
        "splits": [here / "reference.safetensors"],
    }
    outputs = {"dump": [here / "out" / "pixels.safetensors"]}
    log = logging.getLogger("sightlines")
    return Job("dump", {"compute": making.COMPUTE}, inputs, outputs, here, log, member="pixels")


def left(here):
    """Files, also hidden ones, where the dump should appear."""
    return sorted(p.name for p in (here / "out").glob("*")) if (here / "out").exists() else []


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_what_the_recorder_records(here, kind, caplog):
    job = job_of(here, kind)
    with caplog.at_level("INFO"):
        dump.main(job)
    written = job.output("dump").read_bytes()
    assert job.notes == {"device": "cpu", "precision": "float32"}
    assert f"{len(written) / 1e6:.1f} MB" in caplog.text
    assert "(100%)" in caplog.text, "it says how far it is"
    declared = registry.declarations("dumps", kind)
    uses = {key: SECTIONS[key] for key in declared.get("USES", ())}
    splits = here / f"{declared['SPLITS']}.safetensors"
    making.record(kind, here, here / "data" / "dataset.json", splits, here / "again", **uses)
    assert written == (here / "again").read_bytes()


def test_without_weights_it_shows_images_alone(here):
    dump.main(pixels_job(here))
    assert files.TensorReader(here / "out" / "pixels.safetensors").names() == [
        "gram.000",
        "gram.001",
    ]


@pytest.mark.parametrize("kind", [*KINDS, "pixels"])
def test_too_little_disk_is_said_before_the_first_image(here, kind, monkeypatch):
    (here / "data" / "test_images.npy").unlink()
    (here / "data" / "train_images.npy").unlink()
    usage = files.shutil.disk_usage(here)._replace(free=100)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskError, match=rf"the {kind.replace('_', ' ')} dump .* needs .* MB"):
        dump.main(pixels_job(here) if kind == "pixels" else job_of(here, kind))
    assert left(here) == []


def damaged(here, edit):
    path = here / "weights.safetensors"
    reader = files.TensorReader(path)
    state = {name: np.array(reader[name]) for name in reader.names()}
    edit(state)
    files.write_tensors(path, state, {})


def test_weights_that_are_not_finite_are_named(here):
    def edit(state):
        state["blocks.1.mlp.fc1.bias"][2] = np.nan

    damaged(here, edit)
    with pytest.raises(WeightsError, match=r"blocks\.1\.mlp\.fc1\.bias: 1 not finite"):
        dump.main(job_of(here, "gram"))
    assert left(here) == []


def test_truncated_weights_are_refused(here):
    path = here / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match=r"cannot read .*weights\.safetensors"):
        dump.main(job_of(here, "gram"))
    assert left(here) == []


def test_the_weights_of_another_network_are_refused(here):
    other = making.make_dataset(here / "other", classes=7)
    making.make_network(here / "second", making.VIT | {"depth": 1}, other)
    (here / "second" / "weights.safetensors").replace(here / "weights.safetensors")
    with pytest.raises(WeightsError) as caught:
        dump.main(job_of(here, "features"))
    assert "blocks.1.norm1.weight: missing" in str(caught.value)
    assert "head.weight: shape (7, 12) instead of (3, 12)" in str(caught.value)
    assert left(here) == []


def test_the_images_of_another_dataset_are_refused(here):
    making.make_dataset(here / "data", seed=5)
    with pytest.raises(ResultError, match=r"reference\.safetensors divides another dataset"):
        dump.main(job_of(here, "gram"))
    with pytest.raises(ResultError, match=r"reference\.safetensors divides another dataset"):
        dump.main(pixels_job(here))


@pytest.mark.parametrize("kind", ["gram", "features"])
def test_interrupted_half_way_it_leaves_nothing(here, kind, monkeypatch):
    job, write, sizes = job_of(here, kind), files.TensorWriter.write, []

    def interrupted(writer, name, array):
        """As Ctrl-C arrives in the middle of a write."""
        write(writer, name, array)
        sizes.extend(path.stat().st_size for path in (here / "out").glob(".*.part"))
        if len(sizes) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(files.TensorWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dump.main(job)
    assert len(sizes) == 2, "it had begun to write"
    assert left(here) == []


def test_a_recorder_that_is_not_there_is_named(here):
    job = job_of(here, "gram")
    job.member = "nothing"
    with pytest.raises((KeyError, FileNotFoundError), match="nothing"):
        dump.main(job)
