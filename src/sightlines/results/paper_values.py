"""What Raghu et al. 2021 (arXiv:2108.08810v2) show in their plots, as far as it could be read off.

Curves of Figures 3, 4, 5, 7, 12 and 13 and numbers of Figures 9 and 10, each with the error of
reading: 1 to 2 % of an axis. The paper has no table of them. Figures here draw them into their own
axes, and tests hold the claims' criteria against them. Of the other figures nothing but maps and
pictures was published: what can be said of those stands in `report/paper_figures.py`.
"""

from typing import NamedTuple

SHORT = "Raghu et al."
"""What legends call the paper."""
UNIFORM_PX = {"L16": 116.5, "H14": 116.5}
"""Mean distance of attention that looks everywhere alike, in px of the paper's 224 px images, of
grids of 14 × 14 patches of 16 px and of 16 × 16 of 14 px."""
AT_HALF = {"L16": 42.0, "H14": 48.0, "R50": 16.0, "R152": 22.0, "R152x2": 27.0}
"""Accuracy in per cent of probes at half depth of networks of Figure 13b (JFT-300M), ±1.6."""


class Curve(NamedTuple):
    """One line of a plot.

    Attributes:
        figure: Its number, such as ``13a``.
        series: Network and what is drawn, such as ``L16_JFT_block0``.
        unit: Of `values`; ``cka_vs_px``: CKA, and `x` is in px.
        error: Largest error of reading a value, in that unit.
        x: Head rank from 0 (3, 4), mean distance in px (5), block or unit from 0 (7, 12),
            normalised depth (13), place among the tokens that are shown (9, 10).
        values: One a point.
    """

    figure: str
    series: str
    unit: str
    error: float
    x: tuple[float, ...]
    values: tuple[float, ...]


CURVES = (
    Curve(
        "3",
        "L16_JFT_block0",
        "px",
        2.4,
        tuple(range(16)),
        (23, 25, 35, 35.5, 38, 41.5, 42, 50.5, 54, 54.5, 56, 58, 61, 78, 87, 103),
    ),
    Curve(
        "3",
        "L16_JFT_block1",
        "px",
        2.4,
        tuple(range(16)),
        (20, 21, 24, 50, 55, 62, 63, 68.5, 70, 75.5, 81, 96, 96.5, 101, 112, 115.5),
    ),
    Curve(
        "3",
        "H14_JFT_block0",
        "px",
        2.4,
        tuple(range(16)),
        (6, 10, 26, 33, 35, 42, 50, 50, 51, 52, 54, 55, 84.5, 99, 102, 114),
    ),
    Curve(
        "3",
        "H14_JFT_block1",
        "px",
        2.4,
        tuple(range(16)),
        (25, 25.5, 26, 44, 49, 56, 65.5, 68, 71, 74, 84, 90, 99, 99.5, 105.5, 110),
    ),
    Curve(
        "4",
        "L16_IN_block0",
        "px",
        2.4,
        tuple(range(16)),
        (
            92.5,
            96,
            96,
            102,
            102.5,
            104.5,
            106,
            108.5,
            110.5,
            111.5,
            112,
            112.5,
            113,
            113.5,
            115.5,
            116,
        ),
    ),
    Curve(
        "4",
        "L16_IN_block1",
        "px",
        2.4,
        tuple(range(16)),
        (83, 89, 90.5, 91.5, 92, 92.5, 93, 97.5, 98, 101, 102, 103, 106, 107.5, 114, 115),
    ),
    Curve(
        "5",
        "L16-R50_b1u1",
        "cka_vs_px",
        0.005,
        (34, 42, 50, 64, 75, 84, 95, 101),
        (0.53, 0.53, 0.533, 0.495, 0.47, 0.463, 0.445, 0.412),
    ),
    Curve(
        "5",
        "L16-R50_b1u2",
        "cka_vs_px",
        0.005,
        (34, 42, 50, 64, 75, 84, 95, 101),
        (0.515, 0.502, 0.5, 0.45, 0.425, 0.416, 0.398, 0.36),
    ),
    Curve(
        "5",
        "L16-R50_b1u3",
        "cka_vs_px",
        0.005,
        (34, 42, 50, 64, 75, 84, 95, 101),
        (0.44, 0.41, 0.405, 0.345, 0.322, 0.313, 0.297, 0.258),
    ),
    Curve(
        "5",
        "L16-R50_b2u1",
        "cka_vs_px",
        0.005,
        (34, 42, 50, 64, 75, 84, 95, 101),
        (0.54, 0.517, 0.519, 0.477, 0.457, 0.447, 0.432, 0.4),
    ),
    Curve(
        "5",
        "L16-R50_b2u2",
        "cka_vs_px",
        0.005,
        (34, 42, 50, 64, 75, 84, 95, 101),
        (0.593, 0.593, 0.61, 0.593, 0.577, 0.563, 0.548, 0.531),
    ),
    Curve(
        "5",
        "H14-R50_b1u1",
        "cka_vs_px",
        0.005,
        (20, 41, 49, 69, 83, 96, 109),
        (0.555, 0.535, 0.492, 0.48, 0.475, 0.467, 0.412),
    ),
    Curve(
        "5",
        "H14-R50_b1u2",
        "cka_vs_px",
        0.005,
        (20, 41, 49, 69, 83, 96, 109),
        (0.515, 0.497, 0.446, 0.434, 0.428, 0.418, 0.365),
    ),
    Curve(
        "5",
        "H14-R50_b1u3",
        "cka_vs_px",
        0.005,
        (20, 41, 49, 69, 83, 96, 109),
        (0.424, 0.397, 0.345, 0.328, 0.323, 0.314, 0.268),
    ),
    Curve(
        "5",
        "H14-R50_b2u1",
        "cka_vs_px",
        0.005,
        (20, 41, 49, 69, 83, 96, 109),
        (0.515, 0.508, 0.463, 0.467, 0.459, 0.453, 0.408),
    ),
    Curve(
        "5",
        "H14-R50_b2u2",
        "cka_vs_px",
        0.005,
        (20, 41, 49, 69, 83, 96, 109),
        (0.557, 0.588, 0.56, 0.583, 0.572, 0.57, 0.533),
    ),
    Curve(
        "5",
        "L16-R152_b1u1",
        "cka_vs_px",
        0.005,
        (34, 42, 50, 64, 75, 84, 95, 101),
        (0.515, 0.487, 0.5, 0.505, 0.505, 0.492, 0.49, 0.452),
    ),
    Curve(
        "5",
        "L16-R152_b1u2",
        "cka_vs_px",
        0.005,
        (34, 42, 50, 64, 75, 84, 95, 101),
        (0.47, 0.435, 0.433, 0.382, 0.363, 0.353, 0.339, 0.301),
    ),
    Curve(
        "5",
        "L16-R152_b1u3",
        "cka_vs_px",
        0.005,
        (34, 42, 50, 64, 75, 84, 95, 101),
        (0.463, 0.42, 0.42, 0.366, 0.35, 0.34, 0.326, 0.284),
    ),
    Curve(
        "5",
        "L16-R152_b2u1",
        "cka_vs_px",
        0.005,
        (34, 42, 50, 64, 75, 84, 95, 101),
        (0.53, 0.497, 0.497, 0.453, 0.437, 0.426, 0.413, 0.383),
    ),
    Curve(
        "7",
        "SA_spatial",
        "ratio",
        0.25,
        tuple(range(12)),
        (3.6, 2.6, 2.3, 2.4, 2.9, 3.4, 6.1, 8.4, 10.4, 10.5, 10.4, 7.1),
    ),
    Curve(
        "7",
        "MLP_spatial",
        "ratio",
        0.25,
        tuple(range(12)),
        (0.55, 1.8, 2.45, 2.5, 2.7, 2.9, 3.6, 5.4, 5.7, 5.5, 3.6, 3.8),
    ),
    Curve(
        "7",
        "SA_CLS",
        "ratio",
        0.25,
        tuple(range(12)),
        (0.4, 2.7, 3.5, 3.2, 3.3, 2.9, 2.6, 2.8, 3.0, 3.1, 3.4, 3.0),
    ),
    Curve(
        "7",
        "MLP_CLS",
        "ratio",
        0.25,
        tuple(range(12)),
        (2.2, 5.5, 9.9, 11, 9.5, 5.2, 4.1, 3.8, 3.5, 3.2, 2.4, 1.2),
    ),
    Curve(
        "7",
        "ResNet50",
        "ratio",
        0.25,
        tuple(range(16)),
        (1.9, 1.7, 1.8, 1.2, 1.4, 1.4, 2.0, 1.15, 1.2, 1.1, 0.9, 0.95, 1.2, 1.25, 1.1, 1.0),
    ),
    Curve("9", "B32_z", "z", 0.1, (1, 2, 3), (4.1, 5.3, 5.1)),
    Curve("9", "L16_z", "z", 0.1, (1, 2, 3), (4.7, 6.6, 8.2)),
    Curve("9", "R50_z", "z", 0.1, (1, 2, 3), (-1, 1.6, 1.5)),
    Curve("9", "B32_correlation", "pearson", 0.05, (0,), (-0.11,)),
    Curve("9", "R50_correlation", "pearson", 0.05, (0,), (0.84,)),
    Curve("10", "GAP_z", "z", 0.1, (1, 2, 3), (-1.2, 0.2, 0.2)),
    Curve("10", "GAP_correlation", "pearson", 0.05, (0,), (0.93,)),
    Curve(
        "12",
        "B32_3pct",
        "cka",
        0.02,
        tuple(range(12)),
        (0.94, 0.91, 0.91, 0.91, 0.895, 0.9, 0.8, 0.68, 0.66, 0.64, 0.625, 0.59),
    ),
    Curve(
        "12",
        "B32_10pct",
        "cka",
        0.02,
        tuple(range(12)),
        (0.98, 0.965, 0.955, 0.955, 0.945, 0.935, 0.925, 0.905, 0.9, 0.89, 0.89, 0.865),
    ),
    Curve(
        "12",
        "B32_30pct",
        "cka",
        0.02,
        tuple(range(12)),
        (0.975, 0.95, 0.93, 0.925, 0.91, 0.915, 0.91, 0.905, 0.9, 0.9, 0.895, 0.87),
    ),
    Curve(
        "12",
        "L16_10pct",
        "cka",
        0.02,
        tuple(range(24)),
        (
            0.965,
            0.955,
            0.955,
            0.945,
            0.93,
            0.43,
            0.41,
            0.37,
            0.375,
            0.37,
            0.37,
            0.36,
            0.35,
            0.33,
            0.295,
            0.15,
            0.07,
            0.05,
            0.04,
            0.035,
            0.04,
            0.04,
            0.055,
            0.05,
        ),
    ),
    Curve(
        "12",
        "L16_30pct",
        "cka",
        0.02,
        tuple(range(24)),
        (
            0.98,
            0.97,
            0.965,
            0.955,
            0.94,
            0.44,
            0.425,
            0.38,
            0.39,
            0.38,
            0.38,
            0.36,
            0.355,
            0.335,
            0.325,
            0.335,
            0.315,
            0.3,
            0.18,
            0.095,
            0.075,
            0.08,
            0.11,
            0.095,
        ),
    ),
    Curve("13a", "L16_JFT", "acc_pct", 1.6, (0.5, 0.6, 0.7, 1.0), (42, 52, 62, 77)),
    Curve("13a", "H14_JFT", "acc_pct", 1.6, (0.5, 0.6, 0.7, 1.0), (48.5, 58, 64, 80)),
    Curve("13a", "L16_IN", "acc_pct", 1.6, (0.5, 0.6, 0.7, 1.0), (24.5, 33, 43, 74.5)),
    Curve("13a", "H14_IN", "acc_pct", 1.6, (0.5, 0.6, 0.7, 1.0), (24, 29, 36, 71)),
    Curve("13b", "B32", "acc_pct", 1.6, (1.0,), (60.5,)),
    Curve("13b", "B16", "acc_pct", 1.6, (1.0,), (67,)),
    Curve("13b", "L16", "acc_pct", 1.6, (1.0,), (77,)),
    Curve("13b", "H14", "acc_pct", 1.6, (1.0,), (80,)),
    Curve("13b", "R50", "acc_pct", 1.6, (1.0,), (59,)),
    Curve("13b", "R152", "acc_pct", 1.6, (1.0,), (66.5,)),
    Curve("13b", "R152x2", "acc_pct", 1.6, (1.0,), (75,)),
)


def curves(figure: str) -> dict[str, Curve]:
    """The lines of one figure by series; none of a figure of which none was read."""
    return {curve.series: curve for curve in CURVES if curve.figure == figure}
