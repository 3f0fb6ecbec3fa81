#!/bin/bash
# An evaluation on eight machines: sbatch examples/slurm.sh. When all are done: advplug merge runs/mnist
#SBATCH --job-name=advplug
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --output=advplug-%A-%a.log
set -euo pipefail

advplug evaluate adversarial-training:mnist --attacks standard --limit 0 --out runs/mnist \
    --threads "${SLURM_CPUS_PER_TASK:-4}" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" "$@"
