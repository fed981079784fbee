"""What somebody else's network calls its outputs, where that is the words of ImageNet's classes."""

from collections.abc import Sequence

from sightlines.models.timm_names import SYNSETS, class_names, readable_names

ALIKE = 0.9
"""Share of the words that must be WordNet's for the class: some lists spell a few otherwise."""


def plain(labels: Sequence[str]) -> list[str]:
    """WordNet ids, where labels are their words in ImageNet's order; numbers for LABEL_0 and so on.

    Args:
        labels: Names of the outputs, in order.
    """
    if list(labels) == [f"LABEL_{index}" for index in range(len(labels))]:
        return [str(index) for index in range(len(labels))]
    if len(labels) in SYNSETS:
        known, synsets = readable_names(), class_names(len(labels))
        pairs = zip(labels, synsets, strict=True)
        alike = sum(label.split(",")[0].strip().lower() in known.get(s, ()) for label, s in pairs)
        if alike >= ALIKE * len(labels):
            return synsets
    return list(labels)
