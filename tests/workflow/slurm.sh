#!/usr/bin/env bash
# A real SLURM of one node on this machine, for tests: no systemd, no accounting, two pretend GPUs.
#   slurm.sh up|down <folder for its state>        as root, with Debian's slurm-wlm and munge
set -euo pipefail
state=$2
host=$(hostname -s)

up() {
  mkdir -p "$state"/{spool,save,log} /etc/slurm /run/munge
  [ -s /etc/munge/munge.key ] || { head -c 1024 /dev/urandom >/etc/munge/munge.key; chmod 400 /etc/munge/munge.key; }
  chown -R munge: /etc/munge /run/munge /var/log/munge /var/lib/munge
  chmod 755 /run/munge
  pgrep -x munged >/dev/null || su -s /bin/sh munge -c /usr/sbin/munged
  getent hosts "$host" >/dev/null || echo "127.0.0.1 $host" >>/etc/hosts
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  cat >/etc/slurm/slurm.conf <<CONF
ClusterName=sightlines
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CommunicationParameters=NoInAddrAny
StateSaveLocation=$state/save
SlurmdSpoolDir=$state/spool
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/slurmd.log
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$state/log/jobs.txt
ReturnToService=2
MinJobAge=7200
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory Gres=gpu:fake:2 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  printf "NodeName=$host Name=gpu Type=fake File=%s\n" /dev/null /dev/zero >/etc/slurm/gres.conf
  printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' >/etc/slurm/cgroup.conf
  slurmctld
  slurmd -N "$host"
  for _ in $(seq 100); do
    [ "$(sinfo --noheader --format %T)" = idle ] && return
    sleep 0.2
  done
  echo "the node does not come up: $(tail -3 "$state"/log/*.log)" >&2
  return 1
}

down() {
  rm -f /etc/slurm/slurm.conf # else every start of Snakemake with the plugin waits for it
  for daemon in slurmd slurmctld; do kill "$(cat "$state/$daemon.pid")" 2>/dev/null || true; done
}

"$1"
