import subprocess
import sys

import pytest

pytestmark = pytest.mark.whole
PROGRAM = """
import sys
{before}
from sightlines.models.lean import timm_module
vit = timm_module("models.vision_transformer")
resnet = timm_module("models.resnetv2")
{after}
"""


def run(before="", after=""):
    program = PROGRAM.format(before=before, after=after)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_little_is_loaded_and_the_real_packages_can_be_imported_afterwards():
    run(
        after="""
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded & {"torchvision", "sympy"} and "torch._dynamo" not in sys.modules
import timm, timm.data, torchvision
from torchvision.transforms import v2
assert torchvision.__version__ and v2.CutMix(num_classes=3)
assert timm.models.vision_transformer is vit and timm.layers is sys.modules["timm.layers"]
assert "resnet50_gn" in timm.list_models() and timm.__version__
assert type(timm.data.create_transform(32)).__name__ == "Compose"
"""
    )


def test_packages_that_are_there_are_used():
    run("import torchvision as before", "assert sys.modules['torchvision'] is before; vit.Block")


def test_choosing_the_device_does_not_load_the_compiler():
    run(
        after="""
from sightlines.core import devices
import torch
devices.prepare({"device": "cpu", "threads": 1, "workers": 0})
assert torch.are_deterministic_algorithms_enabled() and "torch._dynamo" not in sys.modules
"""
    )
