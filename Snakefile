# sightlines: from images to every figure of "Do Vision Transformers See Like Convolutional
# Neural Networks?" (Raghu et al. 2021).
#
#   data/<dataset variant>/                                 images, as one dataset module makes them
#   results/<experiment>/data/splits.safetensors            splits, fractions
#   results/<experiment>/data/{reference,probes}.safetensors  images shown to trained networks
#   results/<experiment>/models/<model>/<fraction>/<seed>/  weights, history, card
#   results/<experiment>/dumps/<kind>/<model>/<fraction>/<seed>.safetensors
#   results/<experiment>/transfer/<task>/…                 the same for other tasks
#   results/<experiment>/tables/<table>                     tidy, one row an observation
#   results/<experiment>/figures/<figure>.{svg,pdf,png,csv}
#   results/<experiment>/report.html
#
# <experiment> is the config file's name; fractions are f003 … f100 (per cent), f000 is untrained.

from snakemake.utils import min_version

min_version("9.27.1")


# Jobs run in the environment that Snakemake runs in (`make setup`); the image only says on which
# system that was built, for those who run with --software-deployment-method apptainer.
container: "docker://python:3.11-bookworm"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/dump.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/draw.smk"
include: "workflow/rules/report.smk"


rule all:
    """Everything that the config asks for, down to the report."""
    default_target: True
    input:
        f"{R}/report.html",
        EXPERIMENT.tables(),
        EXPERIMENT.claims.values(),
        [
            path
            for figure in EXPERIMENT.figures
            for path in EXPERIMENT.figure_files(figure).values()
        ],


onsuccess:
    session.end(EXPERIMENT.name)
    if Path(R, "report.html").exists() and not is_shown():
        print(f"The report: {R}/report.html")


onerror:
    session.end(EXPERIMENT.name)
