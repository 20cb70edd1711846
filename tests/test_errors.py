"""A user's mistake is one line that says where, what was expected, what was found, and what to do."""

import pickle

import pytest

from handdata.errors import BusyError, ConfigError, DataError, HanddataError, MissingError

KINDS = [HanddataError, DataError, MissingError, BusyError, ConfigError]


def test_the_line():
    error = DataError("labels.mat[handPara]", expected="shape (3, 21, n)", got="(21, 3)", fix="Unpack it again.")

    assert str(error) == "labels.mat[handPara]: expected shape (3, 21, n), got (21, 3). Unpack it again."


def test_without_a_remedy():
    assert str(MissingError("x", expected="a file", got="nothing")) == "x: expected a file, got nothing."


def test_line_breaks_in_what_was_found_do_not_break_the_line():
    assert "\n" not in str(DataError("x", expected="a\nb", got="c\n\nd"))


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_the_trip_between_processes(kind):
    error = pickle.loads(pickle.dumps(kind("where", expected="x", got="y", fix="Do z.")))

    assert type(error) is kind
    assert (str(error), error.where, error.fix) == ("where: expected x, got y. Do z.", "where", "Do z.")


@pytest.mark.parametrize("kind", KINDS)
def test_all_are_caught_as_one_family(kind):
    with pytest.raises(HanddataError):
        raise kind("x", expected="a", got="b")
