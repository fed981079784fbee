#!/usr/bin/env bash
# Expected: results that a pattern of .dvcignore fits are named when DVC stores the folder they lie in, or by whoever pulls it.
# What happens: `dvc add` leaves them out without a word, and a clone's `dvc pull` calls itself up to date though they are missing.
# Versions: DVC 3.67.1.
# What to do: before add, commit or push ask `dvc check-ignore --details` about each result.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check dvc==3.67.1
export PATH=$folder/venv/bin:$PATH
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b.example GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b.example
mkdir project; cd project; git init --quiet; dvc init --quiet
dvc remote add --quiet --default store "$folder/store"
mkdir results; echo 1 > results/table.csv; echo picture > results/figure.png
dvc add --quiet results; git add .; git commit --quiet -m "Both"
dvc --version
echo "-- a pattern comes, the folder is stored again and pushed:"
echo '*.png' >> .dvcignore; echo 2 > results/table.csv
dvc add results 2>&1 | grep -i -e png -e ignore || echo "(no word of figure.png)"
dvc push --quiet; git add .; git commit --quiet -m "Ignored"
echo "-- in a clone, dvc pull twice:"
git clone --quiet . ../clone; (cd ../clone; dvc pull; dvc pull; ls results)
[ ! -e ../clone/results/figure.png ] || { echo "changed: the clone has the figure"; exit 1; }
echo "As described: figure.png was left out of what is shared, without a word."
