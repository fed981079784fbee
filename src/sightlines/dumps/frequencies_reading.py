"""Opens dumps of answers to Fourier noise; needs no torch."""

from pathlib import Path

import numpy as np

from sightlines.conditions.frequency import frequency_of
from sightlines.dumps.responses_reading import ResponsesDump


class FrequenciesDump(ResponsesDump):
    """What one network answers to noise of each frequency.

    Attributes:
        size_px: Side of the images.
        cells: Along a side of the patch grid.
        waves: Cycles an image of each condition, downwards and to the right [conditions, 2].
        of_map: Whether each is one of the map's frequencies [conditions].
    """

    def __init__(self, path: Path) -> None:
        """Open a dump.

        Raises:
            ResultError: it is missing or damaged, or its description lacks something.
        """
        super().__init__(path)
        found = [frequency_of(name) for name, _ in self.conditions]
        try:
            self.size_px = int(self.meta["size_px"])
            self.cells = int(self.meta["cells"])
            self.of_map = np.array(self.meta["of_map"], bool)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._wrong(f"its description lacks {error}") from error
        if None in found or self.of_map.shape != (len(found),):
            raise self._wrong("its conditions are not one frequency each")
        self.waves = np.array([own for own in found if own], np.int64).reshape(-1, 2)
