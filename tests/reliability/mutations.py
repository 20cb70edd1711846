"""Damage bytes at random, by a seed, the way disks, editors and strangers do."""

import random
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from handdata.errors import HanddataError

SLOWEST_S, LARGEST_KB, LONGEST = 5.0, 1_000_000, 500
TOKENS = [
    b"NaN", b"-Infinity", b"1e400", b"1e308", b"-1", b"0", b"1" + b"0" * 400, b"9" * 5000, b"[" * 2000, b"{}", b"null",
    b"true", b'"a"', b'"\\ud800"', b"\x1b[31m", b"\xff\xfe", b"\0" * 8, b"\n\n", b"", b",", b";", b"\r", b"a" * 150_000,
]  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return the data with one to three changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(CHANGES)(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """Return a place; in the beginning, where headers are, half of the time."""
    return rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else data


def _byte(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))]) + data[at + 1 :]


def _word(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return (
        data[:at] + rng.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4), rng.randbytes(4))) + data[at + 4 :]
    )


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _drop(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 1, 4, 40, 400)) :]


def _twice(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    part = data[at : at + rng.choice((1, 8, 100, 1000))]
    return data[:at] + part * rng.choice((1, 2, 30)) + data[at:]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice(TOKENS) + data[at:]


def _number(data: bytes, rng: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data[: 1 << 20]))
    if not found:
        return _insert(data, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(TOKENS) + data[match.end() :]


def _text(data: bytes, rng: random.Random) -> bytes:
    found = list(re.finditer(rb'"[^"\n]*"', data[: 1 << 20]))
    if not found:
        return _byte(data, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice((*TOKENS, b'""', b"[]", b"5")) + data[match.end() :]


def _zeros(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng) // 512 * 512
    return data[:at] + bytes(min(512, len(data) - at)) + data[at + 512 :]


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    _flip, _flip, _byte, _word, _cut, _drop, _twice, _insert, _number, _number, _text, _zeros,
]  # fmt: skip


class HangError(BaseException):
    """It took too long; no `except Exception` stops it."""


@contextmanager
def _limited() -> Iterator[None]:
    def late(*_: object) -> None:
        raise HangError(f"more than {SLOWEST_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 6 * SLOWEST_S)  # of a machine that does other things as well
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault_of(read: Callable[[], object]) -> str:
    """Return what is wrong with how something was read or refused, "" if nothing."""
    start, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with _limited():
            read()
    except HanddataError as error:
        if len(str(error)) > LONGEST or not str(error).isprintable():
            return f"a line of {len(str(error))} characters: {str(error)[:200]!r}"
    except (Exception, HangError) as error:  # this is what is looked for
        trace, last = error.__traceback__, ""
        while trace:
            name = trace.tb_frame.f_code.co_filename
            last = (
                f"{name.rpartition('/')[2]}:{trace.tb_lineno}" if "handdata" in name and "tests" not in name else last
            )
            trace = trace.tb_next
        return f"{type(error).__name__} at {last}: {str(error)[:200]}"
    if time.process_time() - start > SLOWEST_S:
        return f"{time.process_time() - start:.1f} s"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    return f"{grown / 1000:.0f} MB" if grown > LARGEST_KB else ""
