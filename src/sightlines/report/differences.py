"""Where our experiments differ from the paper's, and why, beyond what each figure says."""

GENERAL = (
    (
        "Data and scale",
        "The paper trains on ImageNet and on the private JFT-300M; here networks are trained on "
        "the config's images, or were trained by others on theirs. Claims of tier C, about data at "
        "scale, are judged on shares of one dataset: an analogue, not a repetition.",
    ),
    (
        "Runs",
        "The paper shows one training run a model. Verdicts here have an interval over the "
        "reference images and over seeds; of one seed, with the spread between seeds that other "
        "networks of the family have on these images, where that is known, and else no verdict "
        "but “one run”. Other tasks are measured on the first seed alone.",
    ),
    (
        "Controls",
        "Untrained networks, a second seed, shuffled images: the paper has none of them. What "
        "holds of untrained networks as well is a finding about the architecture; what is learned "
        "is told by the difference of trained and untrained networks, with its interval.",
    ),
    (
        "CKA",
        "The paper prints the biased estimator and uses the unbiased one on minibatches; so do we. "
        "It repeats draws of minibatches; we use one partition of the images, for which the "
        "jackknife gives a sound standard error.",
    ),
    (
        "Colours",
        "The paper's maps have no colour bar and scales of their own; all maps of a figure here "
        "share one scale from zero.",
    ),
)
