"""Images, splits and nested fractions, reference and probe images: of every task."""

for task in TASKS:
    files = EXPERIMENT.data_files(task)
    DATA = f"{EXPERIMENT.task_folder(task)}/data"
    LOGS = EXPERIMENT.logs("data", task)

    rule:
        # Fetch or generate the images and check them.
        name:
            of_task("prepare_dataset", task)
        output:
            files,
        log:
            f"{LOGS}/prepare/{Path(files[0]).parent.name}.log",
        threads: THREADS
        params:
            cfg=lambda w, cfg=as_json(
                EXPERIMENT.job_config_data(fingerprint(task), task)
            ): cfg,
            code=EXPERIMENT.code("datasets.prepare", task=task),
        shell:
            "python -m sightlines.jobs.start sightlines.datasets.prepare --config {params.cfg:q} --code {params.code}"
            " --output files {output:q} --log {log:q}"

    for part, file in (("training", "splits"), ("reference", "reference")):

        rule:
            # Fix the training, validation and test images with the nested fractions; fix the
            # reference images with their minibatches.
            name:
                of_task(f"split_{part}", task)
            input:
                dataset=files[0],
                files=files[1:],
            output:
                f"{DATA}/{file}.safetensors",
            log:
                f"{LOGS}/{file}.log",
            params:
                cfg=lambda w, part=part: as_json(EXPERIMENT.job_config_splits(part)),
                code=EXPERIMENT.code("datasets.split"),
            shell:
                "python -m sightlines.jobs.start sightlines.datasets.split --config {params.cfg:q} --code {params.code}"
                " --input dataset {input.dataset:q} --output splits {output:q} --log {log:q}"

    # Networks have seen none of another task's images, but the experiment's own training images.
    chooses = "split" if task else "probe_pool"

    rule:
        # Fix the labelled images for linear probes.
        name:
            of_task("split_probes", task)
        input:
            dataset=files[0],
            files=files[1:],
            splits=f"{DATA}/splits.safetensors",
        output:
            f"{DATA}/probes.safetensors",
        log:
            f"{LOGS}/probes.log",
        params:
            cfg=lambda w, task=task: as_json(
                EXPERIMENT.job_config_splits("probes")
                if task
                else EXPERIMENT.job_config_probe_pool()
            ),
            code=EXPERIMENT.code(f"datasets.{chooses}"),
            chooses=chooses,
        shell:
            "python -m sightlines.jobs.start sightlines.datasets.{params.chooses}"
            " --config {params.cfg:q} --code {params.code}"
            " --input dataset {input.dataset:q} --input splits {input.splits:q}"
            " --output splits {output:q} --log {log:q}"


if EXPERIMENT.masks_folder:

    rule list_masks:
        """Look at the masks of the test photographs, before anything else that takes time."""
        input:
            dataset=EXPERIMENT.data_files()[0],
            files=EXPERIMENT.data_files()[1:],
        output:
            EXPERIMENT.masks,
        log:
            f"{R}/logs/data/masks.log",
        priority: 100
        params:
            cfg=lambda w: as_json(EXPERIMENT.job_config_masks(masks_fingerprint())),
            code=EXPERIMENT.code("datasets.masks"),
        shell:
            "python -m sightlines.jobs.start sightlines.datasets.masks --config {params.cfg:q} --code {params.code}"
            " --input dataset {input.dataset:q} --output masks {output:q} --log {log:q}"


rule split_conflicts:
    """List the images whose outline and surface are of different classes."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
    output:
        f"{R}/data/conflicts.safetensors",
    log:
        f"{R}/logs/data/conflicts.log",
    params:
        cfg=lambda w: as_json(EXPERIMENT.job_config_conflicts(conflicts_fingerprint())),
        code=EXPERIMENT.code("datasets.cue_conflicts"),
    shell:
        "python -m sightlines.jobs.start sightlines.datasets.cue_conflicts"
        " --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --output splits {output:q} --log {log:q}"


rule describe_dataset:
    """What the report says of the images, which it does not need itself."""
    input:
        dataset=EXPERIMENT.data_files()[0],
    output:
        EXPERIMENT.facts,
    log:
        f"{R}/logs/data/describe.log",
    params:
        cfg="{}",
        code=EXPERIMENT.code("datasets.describe"),
    shell:
        "python -m sightlines.jobs.start sightlines.datasets.describe --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --output facts {output:q} --log {log:q}"
