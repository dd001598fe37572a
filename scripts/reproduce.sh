#!/usr/bin/env bash
# Trains a recipe of configs/experiment/bars with several seeds and holds the mean test AUC to the published one.
#
#   scripts/reproduce.sh RECIPE [key=value ...]      as in scripts/reproduce.sh deepfm_frappe_x1
#
# SEEDS=2021,2022,2023 and OUT=outputs/reproduce/RECIPE say which seeds, and where the runs go; what is done there is not
# done again. Exit code 0: reproduced, 3: not, 2: something is wrong (as the message says), 130 and 143: stopped.
set -euo pipefail

[ $# -gt 0 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
recipe=$1
out=${OUT:-outputs/reproduce/$recipe}

code=0
rectrain -m "experiment=bars/$recipe" "seed=${SEEDS:-2021,2022,2023}" "hydra.sweep.dir=$out" resume=true "${@:2}" || code=$?
[ "$code" = 0 ] || [ "$code" = 3 ] || exit "$code"  # 3: the test AUC of a seed left the band of the recipe
exec "${PYTHON:-python3}" "$(dirname "$0")/verdict.py" "$out"
