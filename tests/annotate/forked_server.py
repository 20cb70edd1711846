"""Start the annotator's server again and again, quickly: everything is imported once, then one fork a life.

Usage: python -m tests.annotate.forked_server FOLDER TABLE. Each line on standard input starts a server; its process
id and, when it listens, its address are printed.
"""

import os
import sys
from pathlib import Path

from handdata.annotate.page_state import BoxPlace
from handdata.annotate.pictures import list_pictures
from handdata.annotate.server import serve
from handdata.annotate.session import Session
from handdata.annotate.worker import Worker
from handdata.serving.local import listen


def main() -> None:
    pictures, table = list_pictures(Path(sys.argv[1])), Path(sys.argv[2])
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(1, 2)  # the address is said on standard error
            sys.stdout.write(f"{os.getpid()}\n")
            sys.stdout.flush()
            session = Session(pictures, table)
            serve(BoxPlace(session), Worker(session), listen("127.0.0.1", 0), "127.0.0.1")
            os._exit(0)
        os.waitpid(child, 0)
        sys.stdout.write("dead\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
