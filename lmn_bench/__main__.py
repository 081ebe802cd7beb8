"""`lmn-bench` and `python -m lmn_bench`."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from lmn_bench.cli import run_command_line
    from lmn_bench.cli.streams import secure_descriptors, settle_streams

    secure_descriptors()
    # A terminal that is closed, and whoever ends us politely, are heard as Ctrl-C is: what was
    # measured is kept and told. What `nohup` has set stays.
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    code = run_command_line(sys.argv[1:])
    settle_streams()
    sys.exit(code)


if __name__ == "__main__":
    main()
