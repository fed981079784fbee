"""Devices by the names that a config or a caller gives."""

import pytest
import torch

from sightlines.core.devices import named, prepare
from sightlines.core.errors import ConfigError


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("nonsense", "device is 'nonsense', which is no device: give auto, cpu, cuda or one GPU"),
        ("", "device is '', which is no device: give"),
        (0, "device is 0, which is no device: give"),
        ("meta", "device is 'meta', where nothing here computes: give auto, cpu, cuda"),
        ("mps", "device: Apple's MPS is not supported"),
        ("cuda", "device is cuda, but torch finds no GPU here: set it to auto or cpu, or fix"),
        ("cuda:3", "device is cuda:3, but torch finds no GPU here: set it to"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_what_to_give(monkeypatch, wanted, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"^{said}"):
        named(wanted, "device")


def test_a_config_is_told_the_same(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(ConfigError, match=r"^compute\.device is cuda, but torch finds no GPU here"):
        prepare({"device": "cuda", "threads": 1, "workers": 0})


def test_auto_is_a_gpu_where_there_is_one_and_names_choose_among_several(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert named("auto", "device") == named("cpu", "device") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert named("auto", "device") == torch.device("cuda")
    assert named(torch.device("cuda:1"), "device") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match=r"^device is cuda:2, but there are 2 GPUs here"):
        named("cuda:2", "device")
