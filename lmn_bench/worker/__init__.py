"""The measuring side: runs in child processes only, started by name and imported by nobody.

`python -m lmn_bench.worker` is a fork server: it has torch imported and forks one child for every
job that it reads as a JSON line, so that a process per case costs milliseconds, not seconds.
"""
