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
        "reference images and must hold for every seed that is measured: receptive fields, single "
        "tokens' probes, other tasks and the checks of the estimator are measured on the first "
        "seed alone.",
    ),
    (
        "Controls",
        "Untrained networks, a second seed, shuffled images: the paper has none of them. A claim "
        "that untrained networks pass as well says nothing of training: it is uninformative.",
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
