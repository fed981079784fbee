"""What only an NVIDIA GPU can show; elsewhere these tests say why they are skipped."""

import numpy as np
import pytest
import torch

from sightlines.core.devices import prepare
from sightlines.dumps.gram_product import packed_gram
from tests.rounding import assert_rounded
from tests.training import jobs

HAS_GPU = torch.cuda.is_available()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not HAS_GPU, reason="needs an NVIDIA GPU, and torch finds none here"),
]


@pytest.fixture
def tiny(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    jobs.write_splits(tmp_path / "splits.safetensors", jobs.write_dataset(data))
    return tmp_path


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("model", [jobs.VIT, jobs.RESNET], ids=["vit", "resnet"])
def test_training_twice_gives_the_same_bytes(tiny, model, precision):
    config = jobs.job_config(model, compute={"device": "cuda"}, precision=precision)
    once = jobs.result_bytes(jobs.train(tiny, "one", config))
    assert jobs.result_bytes(jobs.train(tiny, "two", config)) == once
    assert np.isfinite(jobs.scores(tiny, tiny / "one")["loss_test"])


def test_auto_takes_bfloat16_from_compute_capability_8_on():
    compute = prepare({"device": "cuda", "threads": 1, "workers": 0}, "auto")
    major, minor = torch.cuda.get_device_capability()
    assert compute.dtype == (torch.bfloat16 if major >= 8 else torch.float32)
    assert f"compute capability {major}.{minor}" in compute.evidence


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_grams_agree_with_the_processor_s(offset):
    x = torch.randn(257, 1031, generator=torch.Generator().manual_seed(2)) + offset
    here, there = packed_gram(x), packed_gram(x.cuda()).cpu()
    assert_rounded(there, here, terms=1031, dtype=np.float32, c=8)
