#!/usr/bin/env bash
# One virtual environment per peer, from PyPI (some GB); what is there already stays.
#     scripts/peers/install.sh [FOLDER, default build/peers/venvs]
set -euo pipefail
folder=${1:-$(dirname "$0")/../../build/peers/venvs}
torch="torch==2.13.0"

install() {  # name, then the arguments of each call of pip
  local venv=$folder/$1
  shift
  [ -e "$venv/.installed" ] && return
  "${PYTHON:-python3}" -m venv "$venv"
  # shellcheck disable=SC2086  # several words on purpose
  for packages in "$@"; do "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $packages; done
  touch "$venv/.installed"
}

mkdir -p "$folder"
install keras "tensorflow-cpu==2.21.0 keras==3.15.1"
install fuxictr "$torch" "fuxictr==2.3.10 polars==1.44.2"
# TorchRec asks for the CUDA build of FBGEMM by name, hence --no-deps and the list of the rest.
install torchrec "$torch" "--no-deps fbgemm-gpu-cpu==1.8.0 torchrec==1.8.0" \
  "numpy==2.4.6 tqdm==4.70.1 pyre-extensions==0.0.32 torchmetrics==1.0.3 tensordict==0.15.3 iopath==0.1.10"
