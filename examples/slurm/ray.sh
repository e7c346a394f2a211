#!/bin/bash
# One run on all nodes of an allocation, by Ray. Start it with: sbatch examples/slurm/ray.sh
# Set DATASET, INPUT (a file or URL), SHARED (a folder or URL that all nodes see), and the key of the endpoint.
#SBATCH --job-name=syphus-ray
#SBATCH --time=08:00:00
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@180
set -u

dataset=${DATASET:?the dataset, as in SpotTheDifference.change}
local=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/syphus-$SLURM_JOB_ID
run=$local/$dataset/v1
snapshots=${SHARED:?a folder or URL that all nodes see}/snapshots/$dataset
read -r -a syphus <<<"${SYPHUS:-syphus}"
# A port by the job, as two jobs may share a node.
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
address=$head:$port
cpus=${SLURM_CPUS_PER_TASK:-1}

# The head is on this node, and a worker on each other one. `ray stop` would end those of other jobs on this node, too.
ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$cpus" --temp-dir="/tmp/ray-$SLURM_JOB_ID" \
    --block &
cluster=$!
until (: <"/dev/tcp/$head/$port") 2>/dev/null; do
    kill -0 "$cluster" 2>/dev/null || exit 1
    sleep 1
done
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
    srun --nodes="$others" --ntasks="$others" --exclude="$head" \
        ray start --address="$address" --num-cpus="$cpus" --block &
    cluster="$! $cluster"
fi

stopped= interrupted=$((128 + $(kill -l USR1)))
trap 'stopped=1; kill -USR1 "$process" 2>/dev/null' USR1
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
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
    "${syphus[@]}" resume "$run" --from "$snapshots" --ray "$address" --drain 60 &
    finish
fi
if [ "$code" -eq 2 ]; then
    "${syphus[@]}" --name "$dataset" -in "${INPUT:?a file or URL}" --output-dir "$local" --snapshot "$snapshots" \
        --ray "$address" --drain 60 --num_threads "${THREADS:-256}" --yes ${OPTIONS:-} &
    finish
fi

kill $cluster 2>/dev/null
wait
if [ -n "$stopped" ] && [ "$code" -eq 130 ]; then
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
fi
# A process that crashes ends with 1, too, as Ray ends it if its head is gone; then rows are pending.
if [ "$code" -eq 1 ] && "${syphus[@]}" status "$run" --json | grep -q '"pending": [1-9]'; then
    code=3
fi
if [ "$code" -le 1 ]; then
    "${syphus[@]}" export "$run" --format "${FORMAT:-mimicit}" --output "$SHARED/dataset/$dataset" || exit
fi
exit "$code"
