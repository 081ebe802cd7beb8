#!/usr/bin/env bash
# Runs the gate and hands on its exit code, with reports, job summary and outputs written whatever
# it is. From the environment: PYTHON, BASE, SUITE, MARGIN, FAIL_ON, MODELS, OPTIONS (see
# action.yml) and what GitHub sets: RUNNER_TEMP, GITHUB_OUTPUT, GITHUB_STEP_SUMMARY.
set -uo pipefail

# GitHub refuses a summary of more than 1 MiB.
readonly SUMMARY_LIMIT=1000000

# shellcheck source=python.sh
if ! . "${BASH_SOURCE[0]%/*}/python.sh"; then
  echo "verdict=error" >>"$GITHUB_OUTPUT"
  echo "**No comparison**: there is no such Python; the log says more." >>"$GITHUB_STEP_SUMMARY"
  exit 2
fi
# Beside the Python that lmn-bench was installed with, before any other of that name.
PATH="${python%/*}:$PATH"
# Outside the checkout, which must stay as it was committed.
folder=$(mktemp -d "$RUNNER_TEMP/lmn-bench.XXXXXX") || exit 3

verdict_of() { # the verdict in ab.json, or "error" if there is none
  "$python" -I - "$folder/ab.json" <<'PYTHON' 2>/dev/null || echo error
import json, sys
verdict = json.load(open(sys.argv[1], encoding="utf-8"))["verdict"]
sys.exit(1) if not verdict.isalpha() else print(verdict)
PYTHON
}

path_of() { # the path of a report, or nothing if it was not written
  if [[ -s $folder/$1 ]]; then echo "$folder/$1"; fi
}

measure() {
  local models=() options=() run_options=()
  if [[ -n $MODELS ]]; then models=(--models "$MODELS"); fi
  # Split at blanks and nothing else: no quotes, no patterns, no substitution.
  read -r -d '' -a options <<<"$OPTIONS" || true
  if ((${#models[@]} + ${#options[@]})); then
    run_options=(-- "${models[@]}" "${options[@]}")
  fi
  lmn-bench ab --base "$BASE" --suite "$SUITE" --margin "$MARGIN" --fail-on "$FAIL_ON" --json \
    --results "$folder/results" --markdown "$folder/ab.md" --html "$folder/ab.html" \
    --junit "$folder/ab.xml" \
    "${run_options[@]}" >"$folder/ab.json"
}

code=0
if git rev-parse --quiet --verify --end-of-options "$BASE^{commit}" >/dev/null; then
  measure || code=$?
else
  code=2
  echo "::error title=lmn-bench::The base is not in this clone: check out with fetch-depth: 0"
fi
verdict=$(verdict_of)

{
  echo "verdict=$verdict"
  echo "folder=$folder"
  echo "json=$(path_of ab.json)"
  echo "markdown=$(path_of ab.md)"
  echo "html=$(path_of ab.html)"
  echo "junit=$(path_of ab.xml)"
} >>"$GITHUB_OUTPUT"

if [[ -s $folder/ab.md ]] && (($(wc -c <"$folder/ab.md") <= SUMMARY_LIMIT)); then
  cat "$folder/ab.md" >>"$GITHUB_STEP_SUMMARY"
elif [[ -s $folder/ab.md ]]; then
  echo "**$verdict**: the report is too long for this page; it is among the files." \
    >>"$GITHUB_STEP_SUMMARY"
else
  echo "**No comparison**: it ended with exit code $code; the log says why." \
    >>"$GITHUB_STEP_SUMMARY"
fi

case $code:$verdict in
  0:pass) ;;
  0:*) echo "::warning title=lmn-bench::$verdict; see the summary of this job" ;;
  1:*) echo "::error title=lmn-bench::a regression; see the summary of this job" ;;
  4:*) echo "::error title=lmn-bench::inconclusive; see the summary of this job" ;;
  5:*) echo "::error title=lmn-bench::nothing could be compared; see the summary of this job" ;;
  *) echo "::error title=lmn-bench::failed with exit code $code; see the log of this step" ;;
esac
exit "$code"
