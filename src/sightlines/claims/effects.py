"""The smallest effects that matter: how far from its threshold a criterion's truth must be seen.

A claim of an order says nothing of size; but whoever asks whether so few seeds can show it must say
what of. Declared by kind of statistic, from what the works read off their figures and from what
other criteria call "the same", not from results; where a threshold other than 0 is smaller (C24's
equality within 5 points has its own), that is what matters (`claim.Criterion.matters`). No
verdict's word depends on them: they say of an *undecided* claim whether its seeds are enough.
"""

SIMILARITY = 0.05
"""Of CKA and what is made of it: the smallest difference that Raghu et al. read off two maps, of
which V1's margin is a fifth."""
ACCURACY = 0.03
"""Up to three points networks count as equally accurate (`matching.MARGIN`), and C25's readings."""
IN_POINTS = 100 * ACCURACY
"""The same in points."""
RANK = 0.2
"""Of rank correlations: of five blocks two swaps of neighbours."""
CORRELATION = 0.1
"""Of Pearson's correlations and of cosines of tokens: C20's criteria lie .4 apart, of which this is
a quarter."""
SHARE = 0.1
"""Of shares of things and of a reference (half depth over last; white filters): one in ten."""
DEPTH = 0.1
"""Of the network's depth: a tenth."""
DISTANCE = 0.1
"""Of uniform attention's distance: what C6b calls no change."""
GRADIENT = 0.05
"""Of the share of a gradient that lies on the own patch."""
PIXELS = 1.0
"""Of the side of a receptive field."""
RATIO = 0.5
"""Of norms over norms: half of a branch, as C15 asks for."""
COSINE = 0.05
"""Of the cosine of skip and sum, and of embeddings, as V3r asks for."""
DEVIATION = 1.0
"""Of effect sizes d: one standard deviation over patches; the paper's tokens have 5 to 10."""
OVERLAP = 0.05
"""Of Jaccard indices and areas under curves, as D4 asks for."""
