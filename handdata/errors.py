"""Errors a user can act on.

HanddataError
├── DataError       a file or value is not what the format says
├── MissingError    an input is not there
├── BusyError       somebody else holds the output
├── WriteError      an output cannot be written
└── ConfigError     an option, recipe or setting is wrong

Every one prints as a single line, `where: expected X, got Y. Do Z.`, and ends the command with exit code 1.
A caller's fault inside the library is a ValueError or TypeError; a bug keeps its traceback.
"""


class HanddataError(Exception):
    """A fault in the user's data, paths or settings, told in one line.

    Args:
        where: `file`, `file:line`, `file[key]` or `sample.field`.
        expected: what should have been there.
        got: what was found.
        fix: what to do about it, a sentence.
    """

    def __init__(self, where: object, *, expected: str, got: str, fix: str = "") -> None:
        self.where = str(where)
        self.expected = expected
        self.got = got
        self.fix = fix
        line = f"{self.where}: expected {expected}, got {got}."
        super().__init__(" ".join((f"{line} {fix}" if fix else line).split()))

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip between processes: the arguments are keyword-only."""
        return (_rebuild, (type(self), self.where, self.expected, self.got, self.fix))


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


def _rebuild(kind: type[HanddataError], where: str, expected: str, got: str, fix: str) -> HanddataError:
    return kind(where, expected=expected, got=got, fix=fix)
