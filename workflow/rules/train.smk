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
