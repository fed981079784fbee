"""Tables: one rule a measure, made from what the measure's file declares; then the verdicts."""

for measure in registry.members("measures"):
    reads = EXPERIMENT.inputs("measures", measure)
    writes = EXPERIMENT.outputs(measure)

    rule:
        name:
            f"measure_{measure}"
        input:
            **{name.replace(".", "_"): paths for name, paths in reads.items()},
        output:
            list(writes.values()),
        log:
            f"{R}/logs/measure/{measure}.log",
        params:
            cfg=lambda w, m=measure: as_json(EXPERIMENT.job_config_measure(m)),
            code=EXPERIMENT.code(f"measures.{measure}"),
            measure=measure,
            reads=lambda w, reads=reads: named("--input", reads),
            writes=lambda w, writes=writes: named("--output", writes),
        shell:
            "python -m sightlines.jobs.start sightlines.run.measure {params.measure} --config {params.cfg:q} --code {params.code}"
            " {params.reads} {params.writes} --log {log:q}"


rule judge_claims:
    """Hold the tables against the paper's claims."""
    input:
        tables=EXPERIMENT.tables(),
    output:
        **EXPERIMENT.claims,
    log:
        f"{R}/logs/claims.log",
    params:
        cfg=lambda w: as_json(EXPERIMENT.job_config_claims(OTHER_CRITERIA)),
        code=EXPERIMENT.code("claims.judge"),
        writes=named("--output", EXPERIMENT.claims),
    shell:
        "python -m sightlines.jobs.start sightlines.run.claims --config {params.cfg:q} --code {params.code}"
        " --input tables {input.tables:q} {params.writes} --log {log:q}"
