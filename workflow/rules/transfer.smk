"""Other tasks: their images, networks shown them, and networks trained further on them."""

for task in EXPERIMENT.tasks:
    files = EXPERIMENT.data_files(task)
    T = EXPERIMENT.task_folder(task)

    rule:
        name:
            f"prepare_dataset_of_{task}"
        output:
            files,
        log:
            f"{R}/logs/transfer/{task}/prepare/{Path(files[0]).parent.name}.log",
        threads: THREADS
        params:
            cfg=lambda w, cfg=as_json(
                EXPERIMENT.slice_data(fingerprint(task), task)
            ): cfg,
            code=EXPERIMENT.code("datasets.prepare", task=task),
        shell:
            "python -m sightlines.jobs.start sightlines.datasets.prepare --config {params.cfg:q} --code {params.code}"
            " --output files {output:q} --log {log:q}"

    for part, file in (("training", "splits"), ("reference", "reference")):

        rule:
            name:
                f"split_{part}_of_{task}"
            input:
                dataset=files[0],
                files=files[1:],
            output:
                f"{T}/data/{file}.safetensors",
            log:
                f"{R}/logs/transfer/{task}/{file}.log",
            params:
                cfg=lambda w, part=part: as_json(EXPERIMENT.slice_splits(part)),
                code=EXPERIMENT.code("datasets.split"),
            shell:
                "python -m sightlines.jobs.start sightlines.datasets.split --config {params.cfg:q} --code {params.code}"
                " --input dataset {input.dataset:q} --output splits {output:q} --log {log:q}"

    rule:
        name:
            f"split_probes_of_{task}"
        input:
            dataset=files[0],
            files=files[1:],
            splits=f"{T}/data/splits.safetensors",
        output:
            f"{T}/data/probes.safetensors",
        log:
            f"{R}/logs/transfer/{task}/probes.log",
        params:
            cfg=lambda w: as_json(EXPERIMENT.slice_splits("probes")),
            code=EXPERIMENT.code("datasets.split"),
        shell:
            "python -m sightlines.jobs.start sightlines.datasets.split --config {params.cfg:q} --code {params.code}"
            " --input dataset {input.dataset:q} --input splits {input.splits:q}"
            " --output splits {output:q} --log {log:q}"

    for kind, splits in (("features", "probes"), ("gram", "reference")):

        rule:
            name:
                f"dump_{kind}_of_{task}"
            input:
                dataset=files[0],
                files=files[1:],
                splits=f"{T}/data/{splits}.safetensors",
                weights=f"{MODEL}/weights.safetensors",
                card=f"{MODEL}/card.json",
            output:
                f"{T}/{kind}/{NETWORK}.safetensors",
            log:
                f"{R}/logs/transfer/{task}/{kind}/{NETWORK}.log",
            threads: THREADS
            resources:
                **DUMPING,
                gpu=GPU,
            params:
                cfg=lambda w, kind=kind: as_json(
                    EXPERIMENT.slice_dump(kind, network(w))
                ),
                code=lambda w, kind=kind: EXPERIMENT.code(f"dumps.{kind}", network(w)),
                module=f"sightlines.dumps.{kind}",
                splits=splits,
            shell:
                "python -m sightlines.jobs.start {params.module} --config {params.cfg:q} --code {params.code}"
                " --input dataset {input.dataset:q}"
                " --input {params.splits} {input.splits:q} --input weights {input.weights:q}"
                " --input card {input.card:q} --output dump {output:q} --log {log:q}"

    rule:
        name:
            f"finetune_on_{task}"
        input:
            dataset=files[0],
            files=files[1:],
            splits=f"{T}/data/splits.safetensors",
            start=f"{MODEL}/weights.safetensors",
            card=f"{MODEL}/card.json",
        output:
            weights=f"{T}/models/{NETWORK}/weights.safetensors",
            history=f"{T}/models/{NETWORK}/history.csv",
            metrics=f"{T}/models/{NETWORK}/metrics.json",
            card=f"{T}/models/{NETWORK}/card.json",
        log:
            f"{R}/logs/transfer/{task}/finetune/{NETWORK}.log",
        threads: lambda w, task=task: THREADS * EXPERIMENT.processes(network(w), task)
        resources:
            **TRAINING,
            gpu=lambda w, task=task: GPU * EXPERIMENT.processes(network(w), task),
        params:
            cfg=lambda w, task=task: as_json(EXPERIMENT.slice_tune(task, network(w))),
            code=lambda w: EXPERIMENT.code("training.train", network(w)),
        shell:
            "python -m sightlines.training.train --config {params.cfg:q} --code {params.code}"
            " --input dataset {input.dataset:q} --input splits {input.splits:q}"
            " --input start {input.start:q} --input start_card {input.card:q}"
            " --output weights {output.weights:q} --output history {output.history:q}"
            " --output metrics {output.metrics:q} --output card {output.card:q} --log {log:q}"

    rule:
        name:
            f"dump_gram_tuned_on_{task}"
        input:
            dataset=EXPERIMENT.data_files()[0],
            files=EXPERIMENT.data_files()[1:],
            splits=f"{R}/data/reference.safetensors",
            weights=f"{T}/models/{NETWORK}/weights.safetensors",
            card=f"{T}/models/{NETWORK}/card.json",
        output:
            f"{T}/tuned_gram/{NETWORK}.safetensors",
        log:
            f"{R}/logs/transfer/{task}/tuned_gram/{NETWORK}.log",
        threads: THREADS
        resources:
            **DUMPING,
            gpu=GPU,
        params:
            cfg=lambda w: as_json(EXPERIMENT.slice_dump("gram", network(w))),
            code=lambda w: EXPERIMENT.code("dumps.gram", network(w)),
        shell:
            "python -m sightlines.jobs.start sightlines.dumps.gram --config {params.cfg:q} --code {params.code}"
            " --input dataset {input.dataset:q} --input reference {input.splits:q}"
            " --input weights {input.weights:q} --input card {input.card:q}"
            " --output dump {output:q} --log {log:q}"
