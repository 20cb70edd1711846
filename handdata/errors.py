"""Errors that a user can act on.

HanddataError
├── DataError       a file or value is not what the format says
├── MissingError    an input is not there
├── BusyError       somebody else holds the output
├── WriteError      an output cannot be written
└── ConfigError     an option, recipe or setting is wrong

Every one prints as a single line, `where: expected X, got Y. Do Z.`, and ends the command with exit code 1.
A caller's fault inside the library is a ValueError or TypeError; a bug keeps its traceback.
"""

import errno
import os
from dataclasses import dataclass

LONGEST = 480  # characters of a line; with "handdata: " before it below 500
DENIED = os.strerror(errno.EACCES)
MAY_READ = "Allow reading it (chmod u+rX), or ask its owner"


@dataclass(frozen=True)
class Fix:
    """What to do about a fault of one sample: mend it, or leave the sample out.

    >>> str(Fix("Unpack the archive again", skips="the frame"))
    'Unpack the archive again, or pass --skip-bad to leave the frame out.'

    Attributes:
        mend: a sentence without its full stop.
        skips: what --skip-bad leaves out.
    """

    mend: str
    skips: str = "it"

    def __str__(self) -> str:
        """Return both ways as a sentence."""
        return f"{self.mend}, or pass --skip-bad to leave {self.skips} out."


class HanddataError(Exception):
    """A fault in the user's data, paths or settings, told in one line.

    The line holds printable characters alone and is never longer than LONGEST: what is quoted is escaped and cut here,
    once for all. What may not be read is not mended by making it again, restoring or deleting it: whatever the caller
    advises, the line of DENIED names the right that lacks.

    Args:
        where: `file`, `file:line`, `file[key]` or `sample.field`.
        expected: what should have been there.
        got: what was found.
        fix: what to do about it, a sentence.
    """

    def __init__(self, where: object, *, expected: str, got: str, fix: str | Fix = "") -> None:
        self.where = str(where)
        self.expected = expected
        self.got = got
        self.ways = fix = _right_to_read(fix) if got == DENIED and not isinstance(self, WriteError) else fix
        self.fix = str(fix)
        super().__init__(_line(*(printable(part) for part in (self.where, expected, got, self.fix))))

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip between processes: the arguments are keyword-only."""
        return (_rebuild, (type(self), self.where, self.expected, self.got, self.ways))

    @property
    def without_skipping(self) -> str:
        """The line for a sample that is left out already: that is no advice any more."""
        fix = f"{self.ways.mend}." if isinstance(self.ways, Fix) else self.fix
        return str(HanddataError(self.where, expected=self.expected, got=self.got, fix=fix))


class DataError(HanddataError):
    """A file or value is not what the format says."""


class MissingError(HanddataError):
    """An input is not there."""


class BusyError(HanddataError):
    """Another process holds the output."""


class WriteError(HanddataError):
    """An output cannot be written: no room, no right, or no plain file."""


class ConfigError(HanddataError):
    """An option, recipe or setting is wrong."""


def _rebuild(kind: type[HanddataError], where: str, expected: str, got: str, fix: str | Fix) -> HanddataError:
    return kind(where, expected=expected, got=got, fix=fix)


def _right_to_read(fix: str | Fix) -> str | Fix:
    return Fix(MAY_READ, skips=fix.skips) if isinstance(fix, Fix) else f"{MAY_READ}."


def printable(text: str) -> str:
    r"""Return text on one line of printable characters: white space is a blank, anything else is escaped as in Python.

    >>> printable("a\x1b[31m\n b")
    'a\\x1b[31m b'
    """
    start = " ".join(text[: 4 * LONGEST].split())
    return shortened(visible(start) + ("..." if len(text) > 4 * LONGEST else ""), 2 * LONGEST)


def visible(text: str) -> str:
    r"""Return text whose characters can all be seen: any other is escaped as in Python; line feeds and tabs stay.

    >>> visible("a\x1b[31m b")
    'a\\x1b[31m b'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, length: int) -> str:
    """Return text of at most `length` characters; what is left out is left out in its middle.

    >>> shortened("/data/native/rhd/training/color/00001.png", 20)
    '/data/na...00001.png'
    """
    if len(text) <= length:
        return text
    head = (length - 3) // 2
    return f"{text[:head]}...{text[len(text) - (length - 3 - head) :]}"


def _line(where: str, expected: str, got: str, fix: str) -> str:
    """Put the parts together, the longest of them shortened until they fit."""
    parts = [where, expected, got, fix]
    for length in range(LONGEST, 40, -10):
        if sum(map(len, parts)) + len(": expected , got . ") <= LONGEST:
            break
        parts = [shortened(part, length) for part in parts]
    where, expected, got, fix = parts
    line = f"{where}: expected {expected}, got {got}."
    return f"{line} {fix}" if fix else line
