"""Where another interpreter has its lmn-bench."""

from __future__ import annotations

import os

import pytest

from lmn_bench.cli.versions import _packages_of
from lmn_bench.errors import UsageError


@pytest.fixture
def interpreter(tmp_path):
    """A program that stands for an interpreter."""

    def make(script: bytes) -> str:
        program = tmp_path / "python"
        program.write_bytes(b"#!/bin/sh\n" + script)
        program.chmod(0o755)
        return str(program)

    return make


def test_an_interpreter_may_be_in_a_folder_whose_name_is_no_utf8(tmp_path, interpreter):
    packages = tmp_path / os.fsdecode(b"caf\xe9")
    (packages / "lmn_bench").mkdir(parents=True)
    assert _packages_of(interpreter(b"echo '" + os.fsencode(packages) + b"'\n")) == packages


def test_an_interpreter_may_complain_in_another_encoding(interpreter):
    with pytest.raises(UsageError, match="no module named caf\ufffd"):
        _packages_of(interpreter(b"echo 'no module named caf\xe9' >&2; exit 1\n"))
