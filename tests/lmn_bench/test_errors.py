from __future__ import annotations

import pytest

from lmn_bench import errors
from lmn_bench.errors import ExitCode, LmnBenchError, Problem, SuiteError, UnknownNameError


def every_error(of=LmnBenchError):
    """Those of the module; what a worker tells apart for itself derives from one of them."""
    yield of
    for one in of.__subclasses__():
        if one.__module__ == errors.__name__:
            yield from every_error(one)


def test_exit_codes_are_the_documented_ones():
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 5, 130]


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: error.__name__)
def test_a_mistake_of_the_user_ends_in_2_and_one_of_ours_in_3(error):
    others = {
        errors.WorkerError: ExitCode.INTERNAL,
        errors.ComparisonError: ExitCode.INCOMPARABLE,
        errors.ProfileError: ExitCode.CASES_FAILED,
        errors.ServerKilledError: ExitCode.CASES_FAILED,
        errors.TrainingError: ExitCode.CASES_FAILED,
        errors.KilledError: ExitCode.CASES_FAILED,
        errors.OutOfMemoryError: ExitCode.CASES_FAILED,
        errors.DivergedError: ExitCode.CASES_FAILED,
    }
    assert error.exit_code is others.get(error, ExitCode.USAGE)


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: error.__name__)
def test_every_error_stands_in_the_drawn_tree(error):
    assert f"{error.__name__} " in errors.__doc__


def test_a_name_that_is_near_none_gets_all_of_them():
    error = UnknownNameError("fruit", "zzz", ["pear", "apple"])
    assert error.message == "unknown fruit 'zzz'"
    assert error.hint == "choose one of apple, pear"


def test_a_name_where_there_are_none_says_so():
    assert UnknownNameError("run", "x", []).hint == "there is no run here"


def test_a_suite_error_counts_its_mistakes():
    problem = Problem("sweep[0]", "is wrong")
    assert SuiteError("a.toml", [problem]).message == "a.toml has a mistake"
    assert SuiteError("a.toml", [problem, problem]).message == "a.toml has 2 mistakes"
