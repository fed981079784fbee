"""Images, splits and nested fractions, reference images, probe images."""


rule prepare_dataset:
    """Fetch or generate the images and check them."""
    output:
        EXPERIMENT.data_files(),
    log:
        f"{R}/logs/data/prepare/{Path(EXPERIMENT.data_folder).name}.log",
    threads: THREADS
    params:
        cfg=lambda w, cfg=as_json(EXPERIMENT.slice_data(fingerprint())): cfg,
        code=EXPERIMENT.code("datasets.prepare"),
    shell:
        "python -m sightlines.jobs.start sightlines.datasets.prepare --config {params.cfg:q} --code {params.code}"
        " --output files {output:q} --log {log:q}"


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


rule split_training:
    """Fix the training, validation and test images, and the nested fractions."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
    output:
        f"{R}/data/splits.safetensors",
    log:
        f"{R}/logs/data/splits.log",
    params:
        cfg=lambda w: as_json(EXPERIMENT.slice_splits("training")),
        code=EXPERIMENT.code("datasets.split"),
    shell:
        "python -m sightlines.jobs.start sightlines.datasets.split --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --output splits {output:q} --log {log:q}"


rule split_reference:
    """Fix the reference images with their minibatches."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
    output:
        f"{R}/data/reference.safetensors",
    log:
        f"{R}/logs/data/reference.log",
    params:
        cfg=lambda w: as_json(EXPERIMENT.slice_splits("reference")),
        code=EXPERIMENT.code("datasets.split"),
    shell:
        "python -m sightlines.jobs.start sightlines.datasets.split --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --output splits {output:q} --log {log:q}"


rule split_probes:
    """Fix the labelled images for linear probes."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
        splits=f"{R}/data/splits.safetensors",
    output:
        f"{R}/data/probes.safetensors",
    log:
        f"{R}/logs/data/probes.log",
    params:
        cfg=lambda w: as_json(EXPERIMENT.slice_splits("probes")),
        code=EXPERIMENT.code("datasets.split"),
    shell:
        "python -m sightlines.jobs.start sightlines.datasets.split --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --input splits {input.splits:q}"
        " --output splits {output:q} --log {log:q}"
