"""Figures: one rule a figure, made from what the figure's file declares.

They give way to all else that could begin: while the verdicts are found, for which all measures must be
there, nothing but figures is left for the other cores.
"""

for figure in registry.members("figures"):
    reads = EXPERIMENT.inputs("figures", figure)
    writes = EXPERIMENT.figure_files(figure)

    rule:
        name:
            f"draw_{figure}"
        input:
            **{name.replace(".", "_"): paths for name, paths in reads.items()},
        output:
            **writes,
        log:
            f"{R}/logs/draw/{figure}.log",
        priority: one_pass.LATER
        params:
            cfg=lambda w, figure=figure: as_json(EXPERIMENT.job_config_draw(figure)),
            code=EXPERIMENT.code(f"figures.{figure}"),
            figure=figure,
            reads=lambda w, reads=reads: named("--input", reads),
            writes=lambda w, writes=writes: named("--output", writes),
        shell:
            "python -m sightlines.jobs.start sightlines.run.figure {params.figure} --config {params.cfg:q} --code {params.code}"
            " {params.reads} {params.writes} --log {log:q}"
