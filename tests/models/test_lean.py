import subprocess
import sys

import pytest

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


def test_neither_torchvision_nor_the_compiler_is_loaded():
    run(
        after="assert not {n.split('.')[0] for n in sys.modules} & {'torchvision', 'sympy'}\n"
        "assert 'torch._dynamo' not in sys.modules"
    )


def test_the_real_packages_can_be_imported_afterwards():
    run(
        after="""
import timm, timm.data, torchvision
from torchvision.transforms import v2
assert torchvision.__version__ and v2.CutMix(num_classes=3)
assert timm.models.vision_transformer is vit and timm.layers is sys.modules["timm.layers"]
assert "resnet50_gn" in timm.list_models() and timm.__version__
assert type(timm.data.create_transform(32)).__name__ == "Compose"
"""
    )


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_packages_that_are_there_are_used(package):
    run(f"import {package} as before", f"assert sys.modules[{package!r}] is before; vit.Block")
