"""CIFAR-10: 60,000 labelled photographs of 32 x 32 px, ten classes, from the official archive."""

from typing import Any

from sightlines.datasets.cifar import Cifar
from sightlines.datasets.cifar_release import Release

SETTINGS: dict[str, Any] = {}

FILES = (
    "dataset.json",
    "train_images.npy",
    "train_labels.npy",
    "test_images.npy",
    "test_labels.npy",
)

BATCHES = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
}
CIFAR = Cifar(
    kind="cifar10",
    release=Release(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        members={
            **BATCHES,
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        train=tuple(BATCHES),
        test=("test_batch",),
        meta="batches.meta",
    ),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    classes={"": 10},
)

variant = CIFAR.variant
check = CIFAR.check
counts = CIFAR.counts
fingerprint = CIFAR.fingerprint
prepare = CIFAR.prepare
