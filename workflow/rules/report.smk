"""The page that people read."""


rule write_report:
    """One self-contained page: what was run, every figure, controls, provenance."""
    input:
        figures=expand("{r}/figures/{figure}.svg", r=R, figure=EXPERIMENT.figures),
        pictures=expand("{r}/figures/{figure}.png", r=R, figure=EXPERIMENT.figures),
        tables=[*EXPERIMENT.tables(), *EXPERIMENT.claims.values()],
        dataset=EXPERIMENT.facts,
    output:
        f"{R}/report.html",
    log:
        f"{R}/logs/report/report.log",
    params:
        cfg=lambda w: as_json(EXPERIMENT.job_config_report()),
        code=EXPERIMENT.code("report.page"),
    shell:
        "python -m sightlines.jobs.start sightlines.run.report --config {params.cfg:q} --code {params.code}"
        " --input pictures {input.pictures:q} --input tables {input.tables:q}"
        " --input dataset {input.dataset:q} --output report {output:q} --log {log:q}"
