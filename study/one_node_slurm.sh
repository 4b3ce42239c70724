#!/usr/bin/env bash
# A real Slurm of one node on this machine, as root, in seconds: one_node_slurm.sh start DIR | stop DIR
# It needs the Debian packages slurm-wlm and munge, and keeps no accounts: jobs are asked for by squeue.
set -euo pipefail
do=$1 d=$(realpath -m "$2")
if [ "$do" = stop ]; then
  for p in slurmctld slurmd munge/munged; do [ -s "$d/$p.pid" ] && kill "$(cat "$d/$p.pid")" || true; done
  grep -q "^StateSaveLocation=$d/state" /etc/slurm/slurm.conf 2> /dev/null && rm -f /etc/slurm/slurm.conf
  exit 0
fi
if [ -e /etc/slurm/slurm.conf ]; then
  echo "/etc/slurm/slurm.conf is there: this machine has a Slurm, or one was not stopped; nothing done" >&2
  exit 2
fi
h=$(hostname -s)
mkdir -p "$d"/{state,spool,log,munge} /etc/slurm; chmod 711 "$d/munge"
[ -s "$d/munge.key" ] || { head -c 1024 /dev/urandom > "$d/munge.key"; chmod 400 "$d/munge.key"; }
munged --force --key-file="$d/munge.key" --socket="$d/munge/munge.socket" --pid-file="$d/munge/munged.pid" \
  --log-file="$d/munge/munged.log" --seed-file="$d/munge/seed"
cat > /etc/slurm/slurm.conf <<C
ClusterName=local
SlurmctldHost=$h(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$d/munge/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$d/state
SlurmdSpoolDir=$d/spool
SlurmctldPidFile=$d/slurmctld.pid
SlurmdPidFile=$d/slurmd.pid
SlurmctldLogFile=$d/log/slurmctld.log
SlurmdLogFile=$d/log/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MinJobAge=600
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=$h NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(($(awk '/MemTotal/{print $2}' /proc/meminfo) / 1024 - 1024)) State=UNKNOWN
PartitionName=main Nodes=$h Default=YES MaxTime=INFINITE State=UP
C
slurmctld; slurmd
for _ in $(seq 20); do [ "$(sinfo -h -o %T 2>/dev/null)" = idle ] && break; sleep 1; done
sinfo
