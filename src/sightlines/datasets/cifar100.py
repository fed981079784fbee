"""CIFAR-100: 60,000 labelled photographs of 32 x 32 px, 100 classes in 20 groups."""

from sightlines.datasets.cifar import Cifar
from sightlines.datasets.cifar_release import Release

SETTINGS = {
    "labels": {
        "description": "Classes: the 100 fine ones, or their 20 coarse groups.",
        "enum": ["fine", "coarse"],
        "default": "fine",
    },
}

FILES = (
    "dataset.json",
    "train_images.npy",
    "train_labels.npy",
    "test_images.npy",
    "test_labels.npy",
)

CIFAR = Cifar(
    kind="cifar100",
    release=Release(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        folder="cifar-100-python",
        members={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
        train=("train",),
        test=("test",),
        meta="meta",
    ),
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    classes={"fine": 100, "coarse": 20},
)

variant = CIFAR.variant
check = CIFAR.check
counts = CIFAR.counts
fingerprint = CIFAR.fingerprint
prepare = CIFAR.prepare
