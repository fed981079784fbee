import pytest

from tests.training.jobs import write_dataset, write_splits


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = write_dataset(tmp_path / "data")
    write_splits(tmp_path / "splits.safetensors", dataset)
    return tmp_path
