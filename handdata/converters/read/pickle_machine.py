"""A pickle machine of our own: it builds plain containers, and calls nothing but what its reader gives it a name for.

The standard unpickler believes what a pickle says: a few bytes make it hash a key for ever, take gigabytes for one
number of a memo, or end the process. Here a key is plain and flat, a memo is a dict, every length is held against the
bytes there are, and the steps are counted.

The operations are those of Python's Lib/pickletools.py, protocols 0 to 5, without classes, extensions and buffers.
"""

import codecs
import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

MOST_STEPS = 6_000_000  # operations: twice what the 41,258 pictures of RHD take
_LONGEST_LINE = 100_000  # bytes of a number or name in text
_PLAIN = (int, float, str, bytes, type(None))  # bool is an int
_BYTE, _SHORT, _INT, _SIZE, _LONG = (struct.Struct(f"<{letter}") for letter in "BHiIQ")
_DOUBLE: Final = struct.Struct(">d")
_STOP, _LONG_BINPUT, _BINGET, _BININT1 = b".rhK"
_OTHERS = {
    "P": "persistent object", "Q": "persistent object", "i": "an object", "o": "an object", "2": "a copied value",
    "\x81": "an object", "\x92": "an object", "\x82": "an extension", "\x83": "an extension", "\x84": "an extension",
    "\x97": "a buffer of somebody else's", "\x98": "a buffer of somebody else's",
    "\x8f": "a set", "\x90": "a set", "\x91": "a set",
}  # fmt: skip


class ForbiddenError(Exception):
    """The pickle holds something that is no plain container, number, text or array."""


class Name:
    """Stands for a name a pickle may hold: it can be called, but neither changed nor kept."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


class Machine:
    """Runs one pickle."""

    def __init__(self, data: bytes, names: Mapping[tuple[str, str], Name], plain_key: Callable[[Any], Any]) -> None:
        """Keep what is to be run.

        Args:
            data: the pickle.
            names: what it may name.
            plain_key: turns a number of NumPy into the number; returns anything else as it is.
        """
        self.data, self.at, self.names, self.plain_key = data, 0, names, plain_key
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.room = 2 * len(data) + 1_000_000  # bytes that calls may make: the same text may be called upon again

    def run(self) -> Any:
        """Return what the pickle holds.

        Raises:
            ForbiddenError: it names or does what is not allowed.
            pickle.UnpicklingError: it is damaged, or takes too many steps.
        """
        data, stack, memo, operations, at = self.data, self.stack, self.memo, _OPERATIONS, 0
        for _ in range(MOST_STEPS):
            code = data[at]
            if code == _LONG_BINPUT:  # three operations make up 60 % of RHD's labels
                memo[_SIZE.unpack_from(data, at + 1)[0]] = stack[-1]
                at += 5
            elif code == _BINGET:
                stack.append(memo[data[at + 1]])
                at += 2
            elif code == _BININT1:
                stack.append(data[at + 1])
                at += 2
            elif code == _STOP:
                return stack.pop()
            else:
                self.at = at + 1
                operations[code](self)
                at = self.at
        raise pickle.UnpicklingError(f"more than {MOST_STEPS} steps")

    # -------------------------------------------------------------------------------------------- bytes

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        if not 0 <= size <= len(self.data) - self.at:
            raise pickle.UnpicklingError(f"{size} bytes of {len(self.data) - self.at}")
        start, self.at = self.at, self.at + size
        return self.data[start : self.at]

    def number(self, layout: struct.Struct) -> Any:
        """Return the next number."""
        value = layout.unpack_from(self.data, self.at)[0]
        self.at += layout.size
        return value

    def line(self) -> bytes:
        """Return the next line, without its end."""
        end = self.data.index(b"\n", self.at, self.at + _LONGEST_LINE)
        start, self.at = self.at, end + 1
        return self.data[start:end]

    def items(self) -> list[Any]:
        """Take what is above the last mark off the stack, and the mark."""
        mark = self.marks.pop()
        if mark > len(self.stack):
            raise pickle.UnpicklingError("a mark above the stack")
        found = self.stack[mark:]
        del self.stack[mark:]
        return found


# ------------------------------------------------------------------------------------------------ operations


def _refused(code: int) -> Callable[[Machine], None]:
    what = _OTHERS.get(chr(code))

    def refuse(_: Machine) -> None:
        if what:
            raise ForbiddenError(what)
        raise pickle.UnpicklingError(f"the unknown operation 0x{code:02x}")

    return refuse


def _push(value: Callable[[Machine], Any]) -> Callable[[Machine], None]:
    def operation(machine: Machine) -> None:
        machine.stack.append(value(machine))

    return operation


def _whole(machine: Machine) -> int:
    line = machine.line()
    return {b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line.removesuffix(b"L"))


def _text_in_quotes(machine: Machine) -> str:
    line = machine.line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise pickle.UnpicklingError("a text without quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin1")


def _long(layout: struct.Struct) -> Callable[[Machine], int]:
    def read(machine: Machine) -> int:
        data = machine.take(machine.number(layout))
        if len(data) > 8:
            raise pickle.UnpicklingError(f"a whole number of {len(data)} bytes")
        return int.from_bytes(data, "little", signed=True)

    return read


def _latin(layout: struct.Struct) -> Callable[[Machine], str]:
    return lambda machine: machine.take(machine.number(layout)).decode("latin1")  # str of Python 2


def _utf8(layout: struct.Struct) -> Callable[[Machine], str]:
    return lambda machine: machine.take(machine.number(layout)).decode("utf-8")


def _bytes(layout: struct.Struct) -> Callable[[Machine], bytes]:
    return lambda machine: machine.take(machine.number(layout))


def _top(count: int) -> Callable[[Machine], Any]:
    def make(machine: Machine) -> tuple[Any, ...]:
        if len(machine.stack) < count:
            raise pickle.UnpicklingError("too few values")
        found = tuple(machine.stack[-count:])
        del machine.stack[-count:]
        return found

    return make


def _fill(machine: Machine, table: Any, items: list[Any]) -> Any:
    if type(table) is not dict or len(items) % 2:
        raise pickle.UnpicklingError("keys without a table or a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        plain = machine.plain_key(key)
        if not isinstance(plain, _PLAIN) and not (
            type(plain) is tuple and len(plain) < 100 and all(isinstance(part, _PLAIN) for part in plain)
        ):
            raise pickle.UnpicklingError("a key that is neither a number nor a text")
        table[plain] = value
    return table


def _extend(found: Any, items: list[Any]) -> None:
    if type(found) is not list:
        raise pickle.UnpicklingError("values without a list")
    found.extend(items)


def _append(machine: Machine) -> None:
    value = machine.stack.pop()
    _extend(machine.stack[-1], [value])


def _append_items(machine: Machine) -> None:
    items = machine.items()
    _extend(machine.stack[-1], items)


def _fill_items(machine: Machine) -> None:
    items = machine.items()
    _fill(machine, machine.stack[-1], items)


def _set_item(machine: Machine) -> None:
    key, value = _top(2)(machine)
    _fill(machine, machine.stack[-1], [key, value])


def _named(machine: Machine, module: Any, name: Any) -> Name:
    found = machine.names.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
    if found is None:
        raise ForbiddenError(f"{module}.{name}")
    return found


def _reduce(machine: Machine) -> Any:
    called, arguments = _top(2)(machine)
    if type(called) is not Name or type(arguments) is not tuple:
        raise ForbiddenError("a call of something else")
    made = called.make(*arguments)
    if isinstance(made, bytes):
        machine.room -= len(made)
        if machine.room < 0:
            raise pickle.UnpicklingError("more bytes than the file has")
    return made


def _build(machine: Machine) -> None:
    state = machine.stack.pop()
    built = machine.stack[-1]
    if type(built) is Name:
        raise ForbiddenError("a name with a state")
    if not hasattr(built, "set_state"):
        raise ForbiddenError("a value with a state")
    built.set_state(state)


def _keep(index: Callable[[Machine], int]) -> Callable[[Machine], None]:
    def operation(machine: Machine) -> None:
        machine.memo[index(machine)] = machine.stack[-1]

    return operation


_OPERATIONS: Final[list[Callable[[Machine], None]]] = [_refused(code) for code in range(256)]
_MADE: Final[dict[str, Callable[[Machine], Any]]] = {
    "N": lambda _: None, "\x88": lambda _: True, "\x89": lambda _: False,
    "I": _whole, "L": _whole, "F": lambda m: float(m.line()), "G": lambda m: m.number(_DOUBLE),
    "J": lambda m: m.number(_INT), "K": lambda m: m.number(_BYTE), "M": lambda m: m.number(_SHORT),
    "\x8a": _long(_BYTE), "\x8b": _long(_SIZE),
    "S": _text_in_quotes, "T": _latin(_SIZE), "U": _latin(_BYTE), "V": lambda m: m.line().decode("raw-unicode-escape"),
    "X": _utf8(_SIZE), "\x8c": _utf8(_BYTE), "\x8d": _utf8(_LONG),
    "B": _bytes(_SIZE), "C": _bytes(_BYTE), "\x8e": _bytes(_LONG), "\x96": _bytes(_LONG),
    "]": lambda _: [], "}": lambda _: {}, ")": lambda _: (),
    "l": lambda m: m.items(), "d": lambda m: _fill(m, {}, m.items()), "t": lambda m: tuple(m.items()),
    "\x85": _top(1), "\x86": _top(2), "\x87": _top(3),
    "c": lambda m: _named(m, m.line().decode("utf-8"), m.line().decode("utf-8")),
    "\x93": lambda m: _named(m, *_top(2)(m)), "R": _reduce,
    "g": lambda m: m.memo[int(m.line())], "h": lambda m: m.memo[m.number(_BYTE)],
    "j": lambda m: m.memo[m.number(_SIZE)],
}  # fmt: skip
_DONE: Final[dict[str, Callable[[Machine], Any]]] = {
    "\x80": lambda m: m.take(1), "\x95": lambda m: m.take(8), "(": lambda m: m.marks.append(len(m.stack)),
    "0": lambda m: m.stack.pop(), "1": lambda m: m.items(), "b": _build,
    "a": _append, "e": _append_items, "s": _set_item, "u": _fill_items,
    "p": _keep(lambda m: int(m.line())), "q": _keep(lambda m: m.number(_BYTE)), "r": _keep(lambda m: m.number(_SIZE)),
    "\x94": _keep(lambda m: len(m.memo)),
}  # fmt: skip
for _letter, _make in _MADE.items():
    _OPERATIONS[ord(_letter)] = _push(_make)
for _letter, _do in _DONE.items():
    _OPERATIONS[ord(_letter)] = _do
