#!/usr/bin/env bash
# Expected: while one long job runs and another waits for its core, Snakemake's scheduler sleeps until a job ends.
# Seen: each round that leaves a job waiting starts a one-second timer for another round, and each job that ends adds such a round: after n jobs n rounds a second, each with a thread. No option turns the timers off.
# Versions: snakemake 9.27.1 on Python 3.11 and newer.
# To do: count on processor time and threads that grow with the jobs done, or keep one timer pending as sightlines does (src/sightlines/sharing/snakemake_process.py).
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check "snakemake==9.27.1"
cat >Snakefile <<'END'
rule all:
    input: expand("short/{i}", i=range(30)), "long", "last"
rule short:
    output: "short/{i}"
    priority: 2
    shell: "touch {output}"
rule long:
    output: "long"
    priority: 1
    shell: "sleep 6; grep Threads /proc/$PPID/status >{output}"
rule last:
    output: "last"
    shell: "touch {output}"
END
cat >counted.py <<'END'
import sys
from snakemake.cli import main
from snakemake.scheduling.job_scheduler import JobScheduler
rounds, once = 0, JobScheduler.open_jobs.fget
def counted(self):
    global rounds
    rounds += 1
    return once(self)
JobScheduler.open_jobs = property(counted)
try:
    main(sys.argv[1:])
finally:
    print("rounds:", rounds)
END
echo "snakemake $(venv/bin/snakemake --version)"
venv/bin/python counted.py --cores 1 --scheduler greedy >out.log 2>err.log
rounds=$(sed -n 's/^rounds: //p' out.log)
threads=$(tr -dc 0-9 <long)
echo "32 jobs, one of 6 seconds: $rounds rounds, where 33 start or end a job; $threads threads at the end"
[ "$rounds" -gt 120 ] || { echo "changed: rounds do not multiply"; exit 1; }
[ "$threads" -gt 25 ] || { echo "changed: threads do not multiply"; exit 1; }
