#!/bin/bash
# One task of the array works on one shard. Start it with: sbatch --array=0-99 examples/slurm/array.sh
# Set DATASET, SHARDS (a folder or URL with part-000.jsonl, part-001.jsonl, ...), SHARED (a folder or URL that all nodes
# see), and the key of the endpoint.
#SBATCH --job-name=syphus
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@180
set -u

dataset=${DATASET:?the dataset, as in SpotTheDifference.change}
shard=$(printf 'part-%03d' "${SLURM_ARRAY_TASK_ID:?run this as an array job}")
# The ledger is on a disk of the node; snapshots and results are where all nodes see them.
local=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/syphus-${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
run=$local/$dataset/$shard
snapshots=${SHARED:?a folder or URL that all nodes see}/snapshots/$shard
read -r -a syphus <<<"${SYPHUS:-syphus}"

start() {
    "${syphus[@]}" --name "$dataset" -in "${SHARDS:?a folder or URL with part-000.jsonl, ...}/$shard.${ENDING:-jsonl}" \
        --output-dir "$local" --dataset_version "$shard" --snapshot "$snapshots" --drain 60 \
        --num_threads "${THREADS:-16}" --yes ${OPTIONS:-} &
}

# Slurm signals this shell 180 seconds before the limit, and Syphus stops like at Ctrl-C: it waits for the answers in
# flight, and takes a last snapshot. Then the job goes back into the queue.
stopped= interrupted=$((128 + $(kill -l USR1)))
trap 'stopped=1; kill -USR1 "$process" 2>/dev/null' USR1

# `wait` returns as soon as the signal comes, so it is called again.
finish() {
    process=$!
    wait "$process"
    code=$?
    while [ "$code" -eq "$interrupted" ] && kill -0 "$process" 2>/dev/null; do
        wait "$process"
        code=$?
    done
    [ "$code" -eq "$interrupted" ] && code=130 # it ended at the same moment
}

code=2
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then # maybe on another node
    "${syphus[@]}" resume "$run" --from "$snapshots" --drain 60 &
    finish
fi
if [ "$code" -eq 2 ]; then # the first start, or one that was stopped before its first snapshot
    start
    finish
fi

if [ -n "$stopped" ] && [ "$code" -eq 130 ]; then
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
fi
# A process that crashes ends with 1, too, as Ray ends it if its head is gone; then rows are pending.
if [ "$code" -eq 1 ] && "${syphus[@]}" status "$run" --json | grep -q '"pending": [1-9]'; then
    code=3
fi
if [ "$code" -le 1 ]; then # finished: 1 means that some rows are not ok
    "${syphus[@]}" export "$run" --format "${FORMAT:-mimicit}" --output "$SHARED/dataset/$shard" || exit
fi
exit "$code"
