"""Connections of a local page that end where a request is begun and not finished: each would stay open for good."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE_S = 30.0  # for the whole head of a request, and for each further part of its body


class Patient(H11Protocol):
    """uvicorn's HTTP/1.1, which waits for PATIENCE_S alone; it limits only the time between two requests itself."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the head of the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take a part; what comes slowly does not make a head's time longer."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._end is None:
            self._end = self.loop.call_later(PATIENCE_S, self._give_up)

    def _stop(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def _give_up(self) -> None:
        self._end = None
        if self.flow.read_paused:  # it is the page that has not taken what came
            self._wait()
        else:
            self.transport.close()
