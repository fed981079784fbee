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
            **DUMPING,
            gpu=GPU,
        params:
            cfg=lambda w, kind=kind: as_json(EXPERIMENT.slice_dump(kind, network(w))),
            code=lambda w, kind=kind: EXPERIMENT.code(f"dumps.{kind}", network(w)),
            module=f"sightlines.dumps.{kind}",
            splits=splits,
        shell:
            "python -m sightlines.jobs.start {params.module} --config {params.cfg:q} --code {params.code}"
            " --input dataset {input.dataset:q}"
            " --input {params.splits} {input.splits:q} --input weights {input.weights:q}"
            " --input card {input.card:q} --output dump {output:q} --log {log:q}"


rule dump_pixels:
    """Gram matrices of the reference images themselves."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
        reference=f"{R}/data/reference.safetensors",
    output:
        EXPERIMENT.pixels,
    log:
        f"{R}/logs/dump/pixels.log",
    threads: THREADS
    params:
        cfg=lambda w: as_json(EXPERIMENT.slice_pixels()),
        code=EXPERIMENT.code("dumps.pixels"),
    shell:
        "python -m sightlines.jobs.start sightlines.dumps.pixels --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --input reference {input.reference:q}"
        " --output dump {output:q} --log {log:q}"
