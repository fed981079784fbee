"""Networks."""


rule train_network:
    """Train one model on one fraction of the images with one seed; f000 is left untrained."""
    input:
        data=EXPERIMENT.data_files(),
        splits=f"{R}/data/splits.safetensors",
    output:
        weights=f"{MODEL}/weights.safetensors",
        history=f"{MODEL}/history.csv",
        metrics=f"{MODEL}/metrics.json",
        card=f"{MODEL}/card.json",
    log:
        f"{R}/logs/train/{NETWORK}.log",
    params:
        cfg=lambda w: as_json(EXPERIMENT.slice_train(network(w))),
        code=lambda w: EXPERIMENT.code("training.train", network(w)),
    threads: THREADS
    resources:
        gpu=GPU,
    shell:
        "python -m sightlines.training.train --config {params.cfg:q} --code {params.code}"
        " --source {SOURCES:q} --execution {EXECUTION:q} --input dataset {input.data[0]:q}"
        " --input splits {input.splits:q}"
        " --output weights {output.weights:q} --output history {output.history:q}"
        " --output metrics {output.metrics:q} --output card {output.card:q} --log {log:q}"
