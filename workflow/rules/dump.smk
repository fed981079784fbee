"""Sufficient statistics of one network's representations: the last stage that runs networks.

Of the experiment's networks and images, and of other tasks as each recorder's TRANSFER says.
"""

for recording in EXPERIMENT.recordings():
    files = EXPERIMENT.data_files(recording.shown)
    models = f"{EXPERIMENT.task_folder(recording.tuned)}/models"
    beside = EXPERIMENT.beside(recording.kind)

    # What a rule runs is read when it runs, with the loop's last values: so it is written out twice.
    if beside:

        rule:
            name:
                recording.rule
            input:
                masks=beside["masks"],
                dataset=files[0],
                files=files[1:],
                splits=f"{EXPERIMENT.task_folder(recording.shown)}/data/{recording.splits}",
                weights=f"{models}/{NETWORK}/weights.safetensors",
                card=f"{models}/{NETWORK}/card.json",
            output:
                f"{R}/{recording.place}/{NETWORK}.safetensors",
            log:
                f"{R}/logs/{recording.log}/{NETWORK}.log",
            group:
                one_pass.group_of(workflow, recording)
            threads: THREADS
            resources:
                mem_mb=DUMPING["mem_mb"],
                runtime=one_pass.minutes_of(
                    f"{R}/{recording.place}/{NETWORK}.safetensors"
                ),
                turn=one_pass.turn_of(workflow),
                gpu=GPU,
            params:
                cfg=lambda w, kind=recording.kind: as_json(
                    EXPERIMENT.job_config_dump(kind, network(w))
                ),
                code=lambda w, kind=recording.kind: EXPERIMENT.code(
                    f"dumps.{kind}", network(w)
                ),
                kind=recording.kind,
            shell:
                "python -m sightlines.jobs.start sightlines.run.dump {params.kind}"
                " --config {params.cfg:q} --code {params.code}"
                " --input dataset {input.dataset:q} --input splits {input.splits:q}"
                " --input weights {input.weights:q} --input card {input.card:q}"
                " --input masks {input.masks:q}"
                " --output dump {output:q} --log {log:q}"

    else:

        rule:
            name:
                recording.rule
            input:
                dataset=files[0],
                files=files[1:],
                splits=f"{EXPERIMENT.task_folder(recording.shown)}/data/{recording.splits}",
                weights=f"{models}/{NETWORK}/weights.safetensors",
                card=f"{models}/{NETWORK}/card.json",
            output:
                f"{R}/{recording.place}/{NETWORK}.safetensors",
            log:
                f"{R}/logs/{recording.log}/{NETWORK}.log",
            group:
                one_pass.group_of(workflow, recording)
            threads: THREADS
            resources:
                mem_mb=DUMPING["mem_mb"],
                runtime=one_pass.minutes_of(
                    f"{R}/{recording.place}/{NETWORK}.safetensors"
                ),
                turn=one_pass.turn_of(workflow),
                gpu=GPU,
            params:
                cfg=lambda w, kind=recording.kind: as_json(
                    EXPERIMENT.job_config_dump(kind, network(w))
                ),
                code=lambda w, kind=recording.kind: EXPERIMENT.code(
                    f"dumps.{kind}", network(w)
                ),
                kind=recording.kind,
            shell:
                "python -m sightlines.jobs.start sightlines.run.dump {params.kind}"
                " --config {params.cfg:q} --code {params.code}"
                " --input dataset {input.dataset:q} --input splits {input.splits:q}"
                " --input weights {input.weights:q} --input card {input.card:q}"
                " --output dump {output:q} --log {log:q}"


rule dump_pixels:
    """Gram matrices of the reference images themselves."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
        splits=f"{R}/data/reference.safetensors",
    output:
        EXPERIMENT.pixels,
    log:
        f"{R}/logs/dump/pixels.log",
    threads: THREADS
    params:
        cfg=lambda w: as_json(EXPERIMENT.job_config_pixels()),
        code=EXPERIMENT.code("dumps.pixels"),
    shell:
        "python -m sightlines.jobs.start sightlines.run.dump pixels"
        " --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --input splits {input.splits:q}"
        " --output dump {output:q} --log {log:q}"
