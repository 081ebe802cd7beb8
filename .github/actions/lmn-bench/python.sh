# Sourced by the other scripts: sets `python` to the absolute path of the command in $PYTHON, or
# fails and says so in the log.
# Looked for as a file: `command -v` finds functions too, and finding nothing must not become ".".
if found=$(type -P -- "$PYTHON") && [[ -f $found && -x $found ]]; then
  python=$(cd -- "$(dirname -- "$found")" && pwd)/$(basename -- "$found")
else
  echo "::error title=lmn-bench::The input python names no command of this machine"
  false
fi
