#!/usr/bin/env bash
# Expected: of rules that a Snakefile makes in a loop, an f-string below `shell:` takes the loop's variable as it was when the rule was made, as one below `params:` or `output:` does, and a dry run with -p prints the command that will run.
# Seen: the dry run prints that; the job runs another one, with the value that the variable has after the loop, of the last rule.
# Versions: snakemake 9.27.1 on Python 3.11.
# To do: give the value by `params:` and write {params.name} in a plain string; trust no dry run about an f-string below `shell:`.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "snakemake==9.27.1"
cat >Snakefile <<'END'
for which in ("first", "last"):
    rule:
        name: f"make_{which}"
        output: f"{which}.txt"
        params: given=which
        shell: f"echo {which} {{params.given}} >{{output}}"
END
echo "snakemake $(venv/bin/snakemake --version)"
venv/bin/snakemake -n -p first.txt >dry.log 2>&1
planned=$(grep -o "echo .* >first.txt" dry.log)
venv/bin/snakemake --cores 1 first.txt >run.log 2>&1
echo "planned: $planned"
echo "written: $(cat first.txt)"
[ "$planned" = "echo first first >first.txt" ] || { echo "changed: the dry run says something else"; exit 1; }
[ "$(cat first.txt)" = "last first" ] || { echo "changed: the job runs what was planned"; exit 1; }
