"""Run the command line, as `handdata` and as `python -m handdata`."""

import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """Import the command line and run it; Ctrl-C while it is imported, or twice, ends with one line as well."""
    try:
        from handdata.cli import main as run  # noqa: PLC0415 - so that this can be told

        run()
    except KeyboardInterrupt:
        sys.stderr.write("handdata: interrupted. Run the same command again to go on.\n")
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python is about to end, and would tell of it with a traceback


if __name__ == "__main__":
    main()
