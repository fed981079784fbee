"""Sufficient statistics of one network's representations: the last stage that runs networks."""

for kind in registry.members("dumps"):

    rule:
        name:
            f"dump_{kind}"
        input:
            data=EXPERIMENT.data_files(),
            splits=f"{R}/data/splits.safetensors",
            weights=f"{MODEL}/weights.safetensors",
            card=f"{MODEL}/card.json",
        output:
            f"{R}/dumps/{kind}/{NETWORK}.safetensors",
        log:
            f"{R}/logs/dump/{kind}/{NETWORK}.log",
        params:
            cfg=lambda w: as_json(EXPERIMENT.slice_dump(network(w))),
            code=lambda w, kind=kind: EXPERIMENT.code(f"dumps.{kind}", network(w)),
            module=f"sightlines.dumps.{kind}",
        threads: THREADS
        resources:
            gpu=GPU,
        shell:
            "python -m {params.module} --config {params.cfg:q} --code {params.code}"
            " --source {SOURCES:q} --execution {EXECUTION:q} --input dataset {input.data[0]:q}"
            " --input splits {input.splits:q} --input weights {input.weights:q}"
            " --input card {input.card:q} --output dump {output:q} --log {log:q}"
