"""Networks."""


rule train_network:
    """Train one model on one fraction of the images with one seed; f000 is left untrained."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
        splits=f"{R}/data/splits.safetensors",
    output:
        weights=f"{MODEL}/weights.safetensors",
        history=f"{MODEL}/history.csv",
        metrics=f"{MODEL}/metrics.json",
        card=f"{MODEL}/card.json",
    log:
        f"{R}/logs/train/{NETWORK}.log",
    wildcard_constraints:
        model=one_of(m for m in EXPERIMENT.config["models"] if m not in IMPORTED),
    threads: lambda w: THREADS * EXPERIMENT.processes(network(w))
    resources:
        **TRAINING,
        gpu=lambda w: GPU * EXPERIMENT.processes(network(w)),
    params:
        cfg=lambda w: as_json(EXPERIMENT.slice_train(network(w))),
        code=lambda w: EXPERIMENT.code("training.train", network(w)),
    shell:
        "python -m sightlines.training.train --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q}"
        " --input splits {input.splits:q}"
        " --output weights {output.weights:q} --output history {output.history:q}"
        " --output metrics {output.metrics:q} --output card {output.card:q} --log {log:q}"


rule import_network:
    """Take in a network with somebody else's weights, and its untrained twin."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
        splits=f"{R}/data/splits.safetensors",
    output:
        weights=f"{MODEL}/weights.safetensors",
        history=f"{MODEL}/history.csv",
        metrics=f"{MODEL}/metrics.json",
        card=f"{MODEL}/card.json",
    log:
        f"{R}/logs/import/{NETWORK}.log",
    wildcard_constraints:
        model=one_of(IMPORTED),
    threads: THREADS
    resources:
        **DUMPING,
        gpu=GPU,
    params:
        cfg=lambda w: as_json(import_slice(w)),
        code=lambda w: EXPERIMENT.code("training.import_network", network(w)),
    shell:
        "python -m sightlines.jobs.start sightlines.training.import_network --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --input splits {input.splits:q}"
        " --output weights {output.weights:q} --output history {output.history:q}"
        " --output metrics {output.metrics:q} --output card {output.card:q} --log {log:q}"
