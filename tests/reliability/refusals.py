"""Run a command as a user does and return the one line that it refuses with."""

from collections.abc import Callable
from typing import Any

from click.testing import CliRunner

from handdata.cli import group
from handdata.errors import HanddataError


def refused(*arguments: object) -> str:
    """Return the line of a command that must end with a fault in the data; anything else fails the test."""
    result = CliRunner().invoke(group, [str(argument) for argument in arguments])
    if not isinstance(result.exception, HanddataError):
        raise AssertionError(f"expected one line, got {result.exception!r}:\n{result.output}") from result.exception
    return checked(result.exception)


def refused_by(call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Return the line of a call that must end with a fault in the data."""
    try:
        got = call(*arguments, **options)
    except HanddataError as error:
        return checked(error)
    raise AssertionError(f"expected one line, got {got!r}")


def checked(error: HanddataError) -> str:
    """Return the line of an error, which is printable and short."""
    line = str(error)
    assert line.isprintable(), repr(line)
    assert len(line) < 500
    return line
