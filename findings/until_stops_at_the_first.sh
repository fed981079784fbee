#!/usr/bin/env bash
# Expected: `--until a b` makes what both rules make, also where b needs what a makes.
# Seen: the table of jobs has both, but the run makes a alone and ends with "Out of jobs ready to be started" and status 1.
# Versions: snakemake 9.27.1 on Python 3.11 and newer.
# To do: name after --until only rules of which none needs another (here b alone), or ask for files.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "snakemake==9.27.1"
cat > Snakefile <<'RULES'
rule all:
    input: "c.txt"
rule a:
    output: "a.txt"
    shell: "touch {output}"
rule b:
    input: "a.txt"
    output: "b.txt"
    shell: "touch {output}"
rule c:
    input: "b.txt"
    output: "c.txt"
    shell: "touch {output}"
RULES
echo "snakemake $(venv/bin/snakemake --version)"

status=0
venv/bin/snakemake --cores 1 --until a b >both.log 2>&1 || status=$?
listed=$(grep -cE '^[ab] +1$' both.log || true)
echo "--until a b: $listed jobs in the table; made: $(ls ./*.txt | tr '\n' ' '); status $status"
grep -h "Out of jobs ready" both.log | cut -c1-75 || true
[ "$listed" = 2 ] || { echo "changed: the table does not have both"; exit 1; }
[ "$status" = 1 ] && [ ! -e b.txt ] || { echo "changed: the run makes both"; exit 1; }
rm -rf a.txt .snakemake
venv/bin/snakemake --cores 1 --until b >alone.log 2>&1
echo "--until b: status 0; made: $(ls ./*.txt | tr '\n' ' ')"
[ -e a.txt ] && [ -e b.txt ] || { echo "changed: --until b does not make both"; exit 1; }
