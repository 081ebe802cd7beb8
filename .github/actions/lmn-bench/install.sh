#!/usr/bin/env bash
# Installs lmn-bench. From the environment: PYTHON, INSTALL, TORCH_INDEX, INSTALL_MINUTES (see
# action.yml).
set -euo pipefail

if [[ $INSTALL == none ]]; then
  exit 0
fi
# shellcheck source=python.sh
. "${BASH_SOURCE[0]%/*}/python.sh"
# Fewer digits than would wrap around; a leading zero would make it octal.
if ! [[ $INSTALL_MINUTES =~ ^[1-9][0-9]{0,4}$ ]]; then
  echo "::error title=lmn-bench::The input install-minutes is no whole number from 1 to 99999"
  exit 2
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

# pip's own time limit is one for each read: a server that sends a byte now and then never meets it,
# and steps of an action have no limit of their own.
set -m # what is begun in the background leads a process group
"$python" -m pip install --quiet --disable-pip-version-check "${index[@]}" "${packages[@]}" &
installing=$!
late=$(mktemp)
# Without our output, which would stay open for as long as it sleeps.
{ sleep $((60 * INSTALL_MINUTES)) && echo yes >"$late" && kill -KILL -- "-$installing"; } \
  >/dev/null 2>&1 &
waiting=$!
trap 'kill -KILL -- "-$installing" "-$waiting" 2>/dev/null || true; rm -f -- "$late"' EXIT
code=0
wait "$installing" || code=$?
if [[ -s $late ]]; then
  echo "::error title=lmn-bench::Installing was ended: not done within $INSTALL_MINUTES min"
fi
exit "$code"
