"""Corruptions of 224-px photographs, ours against imagecorruptions-imaug, in one process.

    python benchmarks/corruptions.py FOLDER [IMAGES [CORRUPTION…]]

FOLDER holds photographs, anywhere below it; all 14 corruptions, or those that are named. The peer
needs OpenCV, scikit-image and numba, and setuptools below 81: it is not in our lock file, so make
an environment of its own for it,

    python -m venv peer
    peer/bin/pip install imagecorruptions-imaug==1.1.5 "setuptools<81" jaxtyping
    PYTHONPATH=src peer/bin/python benchmarks/corruptions.py FOLDER

Each corruption is timed at all severities, turn about with the peer's, and the ratio of the two
medians is printed: above 1, ours is the faster. Beside it stands how much either changes the
images (mean square, of 255), and, of those that draw nothing, by how much the two results differ.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sightlines.conditions import corruption

SIZE_PX = 224
DRAWS_NOTHING = (
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
)


def photographs(folder: Path, count: int) -> np.ndarray:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = files[:: max(len(files) // count, 1)][:count]
    return np.stack(
        [np.asarray(Image.open(p).convert("RGB").resize((SIZE_PX, SIZE_PX))) for p in chosen]
    )


def main() -> None:
    from imagecorruptions import corrupt as peer  # type: ignore[import-not-found, unused-ignore]

    images = photographs(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
    print(f"{len(images)} photographs; ms an image, process time, medians")
    print(f"{'corruption':18} {'ours':>7} {'peer':>7} {'ratio':>6} {'changed by':>17}  differ by")
    ratios = []
    for name in sys.argv[3:] or corruption.NAMES:
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        change: dict[str, list[float]] = {"ours": [], "peer": []}
        apart = []
        for severity in (0, *corruption.SEVERITIES):  # 0: compiled and cached, not counted
            for place, image in enumerate(images):
                found = {}
                for who in ("ours", "peer")[:: 1 - 2 * (place % 2)]:
                    begin = time.process_time()
                    if who == "ours":
                        found[who] = corruption.corrupt(
                            image[None], np.array([place]), 0, name=name, severity=severity or 3
                        )[0]
                    else:
                        found[who] = peer(image, corruption_name=name, severity=severity or 3)
                    spent = (time.process_time() - begin) * 1e3
                    if severity:
                        times[who].append(spent)
                        change[who].append(
                            float(np.square(found[who] - image.astype(float)).mean())
                        )
                if severity:
                    apart.append(np.abs(found["ours"].astype(int) - found["peer"]).mean())
        ours, theirs = (statistics.median(times[who]) for who in ("ours", "peer"))
        ratios.append(theirs / ours)
        print(
            f"{name:18} {ours:7.2f} {theirs:7.2f} {theirs / ours:6.2f} "
            f"{statistics.fmean(change['ours']):8.0f} {statistics.fmean(change['peer']):8.0f}"
            + (f"  {statistics.fmean(apart):.3f}" if name in DRAWS_NOTHING else "")
        )
    print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
