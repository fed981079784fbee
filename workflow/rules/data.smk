"""Images, splits, nested fractions, reference images."""


rule prepare_dataset:
    """Fetch or generate the images and check them."""
    output:
        EXPERIMENT.data_files(),
    log:
        f"{R}/logs/data/prepare.log",
    threads: THREADS
    params:
        cfg=as_json(EXPERIMENT.slice_data(fingerprint())),
        code=EXPERIMENT.code("datasets.prepare"),
    shell:
        "python -m sightlines.datasets.prepare --config {params.cfg:q} --code {params.code}"
        " --output files {output:q} --log {log:q}"


rule split_dataset:
    """Fix splits, nested fractions and the reference images with their minibatches."""
    input:
        dataset=EXPERIMENT.data_files()[0],
        files=EXPERIMENT.data_files()[1:],
    output:
        f"{R}/data/splits.safetensors",
    log:
        f"{R}/logs/data/split.log",
    params:
        cfg=as_json(EXPERIMENT.slice_splits()),
        code=EXPERIMENT.code("datasets.split"),
    shell:
        "python -m sightlines.datasets.split --config {params.cfg:q} --code {params.code}"
        " --input dataset {input.dataset:q} --output splits {output:q} --log {log:q}"
