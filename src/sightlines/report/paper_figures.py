"""What Raghu et al. 2021 report, as numbers for the page: beside claims, and figure by figure.

Curves of Figures 3, 4, 5, 7, 12 and 13 are drawn into the figures here
(`results/paper_values.py`). Of the others the paper shows maps and pictures without numbers: what
its text says, and what could be read off its maps, stands here with where it is from.
"""

READ, TEXT, NONE = "read off the figure", "from the text", "not published"
"""Where a number is from. Maps have no colour bar: values read off them are good to ±0.05."""

MARKS: dict[tuple[str, str], tuple[float, float]] = {
    ("C1", "LH(ViT) − LH(ResNet), all sub-layers"): (0.05, 0.13),
    ("C2", "contrast(ResNet) − contrast(ViT), all sub-layers"): (0.03, 0.14),
    ("C2", "halves(ViT) − halves(ResNet), all sub-layers"): (0.05, 0.22),
    ("C4", "median match of the lower half"): (0.08, 0.11),
    ("C4", "median match of the upper half"): (0.27, 0.28),
    ("C6", "most local head"): (0.05, 0.17),
    ("C6", "most global head"): (0.98, 0.99),
    ("C7", "most local head"): (0.91, 0.94),
    ("C9", "rise of the most local head"): (0.54, 0.54),
    ("C11", "most local − middle heads"): (0.07, 0.09),
    ("C11", "middle − most global heads"): (0.06, 0.09),
    ("C11", "most global ÷ most local"): (0.66, 0.72),
    ("C15", "attention ÷ ResNet"): (4.4, 4.4),
    ("C15", "MLP ÷ ResNet"): (2.5, 2.5),
    ("C16", "MLP of CLS, first − second half"): (4.2, 4.2),
    ("C16", "attention of spatial tokens, second − first half"): (5.9, 5.9),
    ("C16", "MLP, CLS − spatial, first half"): (5.1, 5.1),
    ("C16", "MLP, CLS − spatial, second half"): (-1.6, -1.6),
    ("C17", "across ÷ within"): (0.13, 0.18),
    ("C17b", "across ÷ within"): (0.57, 0.57),
    ("C18", "fall in points"): (4.0, 4.0),
    ("C19", "own patch first"): (0.83, 0.83),
    ("C19", "effect size of the own patch"): (6.9, 7.5),
    ("C20", "half of d(ViT) − d(ResNet)"): (2.8, 3.0),
    ("C20", "correlation of tokens, ResNet"): (0.84, 0.84),
    ("C20", "correlation of tokens, ViT"): (-0.11, -0.11),
    ("C22", "d(CLS) − d(GAP)"): (7.2, 7.2),
    ("C22", "correlation of tokens, GAP"): (0.93, 0.93),
    ("C23", "½ GAP ViT − CLS ViT"): (0.19, 0.23),
    ("C23", "½ ResNet − CLS ViT"): (0.12, 0.2),
    ("C26", "Spearman(block, CKA)"): (-0.99, -0.97),
    ("C26", "rise of mean CKA, fewest to most images"): (0.05, 0.13),
    ("C27", "upper half, small − large"): (0.68, 0.77),
    ("C28", "gap at mid depth, all − fewest images"): (0.18, 0.26),
    ("C28", "gap at mid depth − 2 × gap at the last layer"): (0.08, 0.13),
    ("C29", "ViT − ResNet at mid depth"): (0.11, 0.29),
    ("C29", "ViT − ResNet at the last layer"): (0.02, 0.21),
}
"""(claim, criterion) -> lowest and highest value that the paper's own networks give, as far as its
plots and text say: good to 2 % of an axis, from maps to ±0.05."""

SAW: dict[str, tuple[tuple[str, str], ...]] = {
    "fig01_cka_within": (
        (
            "CKA of the lowest with the highest quarter of layers: ViT-L/16 .42, ViT-H/14 .38, "
            "ResNet-50 .29, ResNet-152 .33",
            READ,
        ),
        (
            "mean CKA of all pairs of layers: ViT-L/16 .56, ViT-H/14 .55, ResNet-50 .55, "
            "ResNet-152 .50",
            READ,
        ),
        ("values of single layers, and any error", NONE),
    ),
    "fig02_cka_across": (
        (
            "layers of ResNet-50 at depths .05, .25, .45, .55, .75, .85, .95 match ViT-L/16 best "
            "at .07, .10, .16, .23, .28, .39, .65 and ViT-H/14 at .05, .09, .14, .20, .25, .34, "
            ".64",
            READ,
        ),
        ("the lower half of ResNet layers resembles about the lowest quarter of a ViT's", TEXT),
        ("values of single layers", NONE),
    ),
    "fig02_tokens": (("class token and spatial tokens apart", NONE),),
    "fig06_receptive_fields": (
        ("a ViT's own patch is darkest at all depths, over a faint grid of the whole image", READ),
        ("sizes of receptive fields", NONE),
    ),
    "fig06_receptive_field_curves": (("sizes of receptive fields", NONE),),
    "fig08_skipless": (
        (
            "CKA across the cut, and within its sides: block 1 .35 and .52 to .71, block 7 .09 "
            "and .50, block 10 .08 and .48 to .74",
            READ,
        ),
        ("accuracy falls by 4 % without the skips of a middle block", TEXT),
    ),
    "fig09_localisation": (
        (
            "the own patch ranks first for all four tokens of ViT-B/32 and three of four of "
            "ViT-L/16, in ResNet-50 at 14, 36, 2 and 1 of 49",
            READ,
        ),
        ("maps of different tokens correlate by −.11 in ViT-B/32, by .84 in ResNet-50", READ),
    ),
    "fig10_localisation_gap": (
        ("the own patch of the pooled ViT-B/32 ranks at 6, 42, 28 and 27 of 49", READ),
        ("maps of different tokens correlate by .93", READ),
    ),
    "fig11_token_probes": (
        (
            "mean accuracy of probes on single tokens of the last block: ViT-B/32 with a class "
            "token 6 to 10 %, pooled 57 to 58 %, ResNet-50 44 to 52 %",
            READ,
        ),
        ("the class token and the pooled tokens of a pooled ViT end about equal", TEXT),
    ),
    "figH_mixer": (
        ("a Mixer falls into a small first and a large second part, whatever its size", TEXT),
        ("numbers", NONE),
    ),
    "figG1_finetuning": (("the first 4 to 5 blocks are very well preserved", TEXT),),
    "figE1_skip_tokens": (("ratios from 2 to 16", READ),),
    "figE2_skip_cosine": (
        ("spatial tokens change direction early, the class token late", READ),
        ("numbers", NONE),
    ),
}
"""Figure of this experiment -> what the paper's own shows, and where that is from."""
