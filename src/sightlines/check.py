"""Checks config files by hand: ``python -m sightlines.check workflow/config/cifar10.yaml``."""

import sys
from pathlib import Path

from sightlines.core.checkout import require_own_code
from sightlines.core.errors import SightlinesError
from sightlines.plan.experiment import Experiment


def main() -> None:
    """Check the files that the command line names; the first that cannot work ends it."""
    try:
        require_own_code()
        for path in sys.argv[1:]:
            experiment = Experiment.open(Path(path))
            print(f"{path}: {len(experiment.networks)} networks, {experiment.figures}, no errors")
    except SightlinesError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
