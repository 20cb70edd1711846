"""A user's mistake is one line that says where, what was expected, what was found, and what to do."""

import pickle

import pytest

from handdata.errors import BusyError, ConfigError, DataError, Fix, HanddataError, MissingError

KINDS = [HanddataError, DataError, MissingError, BusyError, ConfigError]


def test_the_line():
    error = DataError("labels.mat[handPara]", expected="shape (3, 21, n)", got="(21, 3)", fix="Unpack it again.")

    assert str(error) == "labels.mat[handPara]: expected shape (3, 21, n), got (21, 3). Unpack it again."


def test_without_a_remedy():
    assert str(MissingError("x", expected="a file", got="nothing")) == "x: expected a file, got nothing."


def test_line_breaks_in_what_was_found_do_not_break_the_line():
    assert "\n" not in str(DataError("x", expected="a\nb", got="c\n\nd"))


def test_a_sample_that_is_left_out_is_not_advised_to_be():
    error = DataError("a.png", expected="x", got="y", fix=Fix("Unpack the archive again", skips="the frame"))

    assert (
        str(error) == "a.png: expected x, got y. Unpack the archive again, or pass --skip-bad to leave the frame out."
    )
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert one.without_skipping == "a.png: expected x, got y. Unpack the archive again."


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_the_trip_between_processes(kind):
    error = pickle.loads(pickle.dumps(kind("where", expected="x", got="y", fix="Do z.")))

    assert type(error) is kind
    assert (str(error), error.where, error.fix) == ("where: expected x, got y. Do z.", "where", "Do z.")


@pytest.mark.parametrize("kind", KINDS)
def test_all_are_caught_as_one_family(kind):
    with pytest.raises(HanddataError):
        raise kind("x", expected="a", got="b")


@pytest.mark.parametrize(
    "name", ["\x1b]0;x\x07", "a\x1b[31mb", "\ud800", "\u202egpj", "\0", "\x85\u2028", "ü" * 10_000, "\x1b" * 10_000]
)
@pytest.mark.parametrize("place", ["where", "expected", "got", "fix"])
def test_a_line_is_short_and_printable_whatever_it_quotes(name, place):
    parts = {"where": "x", "expected": "a", "got": "b", "fix": "Do c.", place: name}
    line = str(DataError(parts.pop("where"), **parts))

    assert line.isprintable()
    assert len(line) < 500
    line.encode()


def test_a_long_line_keeps_the_ends_of_its_parts():
    line = str(
        DataError(
            "/data/" + "d" * 300 + "/name.png:17", expected="x" * 300, got="[1, " + "2, " * 300 + "9]", fix="Do z."
        )
    )

    assert line.startswith("/data/ddd")
    assert "ddd/name.png:17: expected x" in line
    assert line.endswith(", 9]. Do z.")
