#!/usr/bin/env bash
# Installs lmn-bench. From the environment: PYTHON, INSTALL, TORCH_INDEX (see action.yml).
set -euo pipefail

if [[ $INSTALL == none ]]; then
  exit 0
fi
# Not on PyPI: the repository that this action came from is the package.
packages=("$GITHUB_ACTION_PATH/../../..")
if [[ -n $INSTALL ]]; then
  read -r -d '' -a packages <<<"$INSTALL" || true
fi
index=()
if [[ -n $TORCH_INDEX ]]; then
  index=(--extra-index-url "$TORCH_INDEX")
fi
"$PYTHON" -m pip install --quiet --disable-pip-version-check "${index[@]}" "${packages[@]}"
