"""Run the command line, as `handdata` and as `python -m handdata`."""

import _thread
import os
import re
import signal
import sys
import threading
from types import TracebackType

INTERRUPTED = 130
_LINE = "handdata: interrupted. Run the same command again to go on.\n"
_AGAIN_S = 0.005  # by then what could not be interrupted has ended
_SAID_BY_HDF5 = re.compile("Can't decrement id ref count .*errno = ", re.DOTALL)  # letting go of a file it cannot write


def main() -> None:
    """Import the command line and run it; Ctrl-C ends with one line, whenever it comes and how often."""
    sys.excepthook, sys.unraisablehook = _say, _not_lost
    _open_standard_streams()
    try:
        from handdata.cli import main as run  # noqa: PLC0415 - so that this can be told

        run()
    except KeyboardInterrupt:
        sys.stderr.write(_LINE)
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python is about to end, and would tell of it with a traceback


def _open_standard_streams() -> None:
    """Give what was closed before the start, as by `>&-`, to /dev/null: the next file opened would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that nobody caught; not what a line of ours has told or tells."""
    if issubclass(kind, KeyboardInterrupt):  # once more, while the line of the one before was written
        sys.stderr.write(_LINE)
    elif not _SAID_BY_HDF5.match(str(error)):
        sys.__excepthook__(kind, error, trace)


def _not_lost(ignored: "sys.UnraisableHookArgs") -> None:
    """Raise Ctrl-C again, a moment later, where it came in what nobody can catch it from: a destructor, a callback."""
    if isinstance(ignored.exc_value, KeyboardInterrupt):
        threading.Timer(_AGAIN_S, _thread.interrupt_main).start()
    elif not _SAID_BY_HDF5.match(str(ignored.exc_value)):
        sys.__unraisablehook__(ignored)


if __name__ == "__main__":
    main()
