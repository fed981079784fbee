"""Sufficient statistics of one network's representations: the last stage that runs networks."""

for kind in registry.members("dumps"):
    splits = registry.declarations("dumps", kind)["SPLITS"]

    rule:
        name:
            f"dump_{kind}"
        input:
            dataset=EXPERIMENT.data_files()[0],
            files=EXPERIMENT.data_files()[1:],
            splits=f"{R}/data/{splits}.safetensors",
            weights=f"{MODEL}/weights.safetensors",
            card=f"{MODEL}/card.json",
        output:
            f"{R}/dumps/{kind}/{NETWORK}.safetensors",
        log:
            f"{R}/logs/dump/{kind}/{NETWORK}.log",
        threads: THREADS
        resources:
            gpu=GPU,
        params:
            cfg=lambda w: as_json(EXPERIMENT.slice_dump(network(w))),
            code=lambda w, kind=kind: EXPERIMENT.code(f"dumps.{kind}", network(w)),
            module=f"sightlines.dumps.{kind}",
            splits=splits,
        shell:
            "python -m {params.module} --config {params.cfg:q} --code {params.code}"
            " --input dataset {input.dataset:q}"
            " --input {params.splits} {input.splits:q} --input weights {input.weights:q}"
            " --input card {input.card:q} --output dump {output:q} --log {log:q}"
