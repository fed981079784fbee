"""Networks: trained, trained further on other tasks, taken in."""

for task in TASKS:
    files = EXPERIMENT.data_files(task)
    T = EXPERIMENT.task_folder(task)

    rule:
        # Train one model on one fraction of the images with one seed, f000 is left untrained; or
        # train a network further on another task.
        name:
            f"finetune_on_{task}" if task else "train_network"
        input:
            dataset=files[0],
            files=files[1:],
            splits=f"{T}/data/splits.safetensors",
            start=f"{MODEL}/weights.safetensors" if task else [],
            card=f"{MODEL}/card.json" if task else [],
        output:
            weights=f"{T}/models/{NETWORK}/weights.safetensors",
            history=f"{T}/models/{NETWORK}/history.csv",
            card=f"{T}/models/{NETWORK}/card.json",
        log:
            f"{EXPERIMENT.logs('train', task)}/{'finetune/' if task else ''}{NETWORK}.log",
        wildcard_constraints:
            model=one_of(
                m
                for m in EXPERIMENT.config.models
                if task or m not in {*IMPORTED, *EXPERIMENT.objectives}
            ),
            seed=SEED,
        threads: lambda w, task=task: THREADS * EXPERIMENT.processes(network(w), task)
        resources:
            **TRAINING,
            gpu=lambda w, task=task: GPU * EXPERIMENT.processes(network(w), task),
        params:
            cfg=lambda w, task=task: as_json(
                EXPERIMENT.job_config_train(network(w), task)
            ),
            code=lambda w: EXPERIMENT.code("training.train", network(w)),
        shell:
            "python -m sightlines.jobs.start sightlines.training.train --config {params.cfg:q} --code {params.code}"
            " --input dataset {input.dataset:q} --input splits {input.splits:q}"
            " --input start {input.start:q} --input start_card {input.card:q}"
            " --output weights {output.weights:q} --output history {output.history:q}"
            " --output card {output.card:q} --log {log:q}"


rule train_without_labels:
    """Train one model by an objective that needs no labels; f000 is left untrained."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
        splits=f"{R}/data/splits.safetensors",
    output:
        weights=f"{MODEL}/weights.safetensors",
        history=f"{MODEL}/history.csv",
        card=f"{MODEL}/card.json",
    log:
        f"{R}/logs/train/{NETWORK}.log",
    wildcard_constraints:
        model=one_of(EXPERIMENT.objectives),
        seed=SEED,
    threads: lambda w: THREADS * EXPERIMENT.processes(network(w))
    resources:
        **TRAINING,
        gpu=lambda w: GPU * EXPERIMENT.processes(network(w)),
    params:
        trainer=lambda w: EXPERIMENT.trainer(network(w)),
        cfg=lambda w: as_json(EXPERIMENT.job_config_train(network(w))),
        code=lambda w: EXPERIMENT.code(EXPERIMENT.trainer(network(w)), network(w)),
    shell:
        "python -m sightlines.jobs.start sightlines.{params.trainer} --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --input splits {input.splits:q}"
        " --output weights {output.weights:q} --output history {output.history:q}"
        " --output card {output.card:q} --log {log:q}"


rule import_network:
    """Take in a network with somebody else's weights, and its untrained twin."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
        splits=f"{R}/data/splits.safetensors",
    output:
        weights=f"{MODEL}/weights.safetensors",
        history=f"{MODEL}/history.csv",
        card=f"{MODEL}/card.json",
    log:
        f"{R}/logs/import/{NETWORK}.log",
    wildcard_constraints:
        model=one_of(IMPORTED),
        seed=SEED,
    threads: THREADS
    resources:
        **DUMPING,
        gpu=GPU,
    params:
        cfg=lambda w: as_json(import_slice(w)),
        code=lambda w: EXPERIMENT.code("training.import_network", network(w)),
    shell:
        "python -m sightlines.jobs.start sightlines.training.import_network --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --input splits {input.splits:q}"
        " --output weights {output.weights:q} --output history {output.history:q}"
        " --output card {output.card:q} --log {log:q}"


rule make_control:
    """Switch on an untrained network whose branches start at 0, or that no image was shown."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
        splits=f"{R}/data/splits.safetensors",
        start=f"{R}/models/{{model}}/{{fraction}}/{{start}}/weights.safetensors",
        card=f"{R}/models/{{model}}/{{fraction}}/{{start}}/card.json",
    output:
        weights=f"{R}/models/{{model}}/{{fraction}}/{{start}}{ON}/weights.safetensors",
        history=f"{R}/models/{{model}}/{{fraction}}/{{start}}{ON}/history.csv",
        card=f"{R}/models/{{model}}/{{fraction}}/{{start}}{ON}/card.json",
    log:
        f"{R}/logs/control/{{model}}/{{fraction}}/{{start}}{ON}.log",
    wildcard_constraints:
        fraction=UNTRAINED,
        start=SEED,
    threads: THREADS
    resources:
        **DUMPING,
        gpu=GPU,
    params:
        cfg=lambda w: as_json(EXPERIMENT.job_config_control(control(w))),
        code=lambda w: EXPERIMENT.code("training.control", control(w)),
    shell:
        "python -m sightlines.jobs.start sightlines.training.control --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --input splits {input.splits:q}"
        " --input start {input.start:q} --input start_card {input.card:q}"
        " --output weights {output.weights:q} --output history {output.history:q}"
        " --output card {output.card:q} --log {log:q}"
