"""The thread that tracks ahead and writes the table while a person works."""

import threading
import time

from handdata.annotate.workplace import BackgroundWork
from handdata.errors import HanddataError

SAVE_EVERY_S = 5.0
IDLE_S = 0.5


class Worker(threading.Thread):
    """Track what is missing, nearest to `focus` first; write the table when all is tracked, and now and then.

    Attributes:
        focus: the frame in view.
        trouble: why the table could not be written, "" if it could.
    """

    def __init__(self, session: BackgroundWork) -> None:
        super().__init__(name="tracking", daemon=True)
        self.focus = 0
        self.trouble = ""
        self._session = session
        self._wake = threading.Event()
        self._ended = False
        self._saved = session.version
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Work until `stop`."""
        while not self._ended:
            if self._session.work(self.focus):
                self._save_if_due()
                continue
            if self._saved != self._session.version:
                self._save()
            self._wake.wait(IDLE_S)
            self._wake.clear()

    def look_at(self, focus: int) -> None:
        """Note the frame in view; what there is to do may be there."""
        if focus != self.focus:
            self.focus = focus
            self.wake()

    def wake(self) -> None:
        """Look for work now: something was edited."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._ended = True
        self._wake.set()
        self.join()

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self._save()

    def _save(self) -> None:
        version = self._session.version
        try:
            self._session.save()
            self.trouble = ""
        except HanddataError as error:
            self.trouble = f"{error} Every edit is in the journal."
        self._saved, self._saved_at = version, time.monotonic()
