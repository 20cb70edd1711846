"""The annotator's server: a route parses, makes one call of the session, returns JSON. Listens on this machine only."""

import secrets
import socket
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import cv2
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from handdata.annotate.requests import parse_number
from handdata.annotate.sequences import Progress
from handdata.annotate.worker import Worker
from handdata.annotate.workplace import Workplace
from handdata.errors import ConfigError, HanddataError
from handdata.files.text import Wanted, decode
from handdata.serving.local import SHARED, guarded, page_routes, read_body, run_until_ended, server_of

LARGEST_EDIT = 64 * 1024  # bytes
LARGEST_IMPORT = 64 * 1024 * 1024  # bytes
ENCODED_KEPT = 256  # pictures, about 60 kB each
SMALLEST_WIDTH, LARGEST_WIDTH = 16, 8192  # px

Others = Callable[[], list[Progress]]


class Annotator:
    """The routes of one opened sequence.

    Args:
        place: what is annotated.
        worker: what works for it in the background.
        others: gives how far the dataset's sequences are, this one among them.
    """

    def __init__(self, place: Workplace, worker: Worker, others: Others | None = None) -> None:
        self._others = others or (list)
        self._place = place
        self._worker = worker
        self._run = secrets.token_hex(4)  # in the pictures' addresses, so that no browser's cache mixes two sequences
        self._encoded = lru_cache(ENCODED_KEPT)(place.pictures.encode)

    def routes(self) -> list[Route]:
        """Return the routes, the page's own files among them."""
        return [
            *(route for package, page in self._place.pages for route in page_routes(package, page)),
            *page_routes("handdata.serving", SHARED),
            Route("/api/sequence", self.sequence),
            Route("/api/sequences", self.sequences),
            Route("/api/state", self.state),
            Route("/api/frame/{index:int}", self.frame),
            Route("/api/edit", self.edit, methods=["POST"]),
            Route("/api/export/{kind}", self.export),
            Route("/api/import/{kind}", self.import_, methods=["POST"]),
        ]

    async def sequence(self, _: Request) -> Response:
        """Return what does not change while the sequence is open."""
        return JSONResponse({**self._place.sequence(), "run": self._run, "formats": list(self._place.formats)})

    async def sequences(self, _: Request) -> Response:
        """Return how far each sequence is: the others by their tables, this one as it stands."""
        return JSONResponse(await run_in_threadpool(self._sequences))

    async def state(self, request: Request) -> Response:
        """Return what changed since version `since`; `focus` is the frame in view."""
        since = parse_number(request.query_params.get("since", "0"), "since", 0, 2**53)
        focus = request.query_params.get("focus", str(self._worker.focus))
        self._worker.look_at(parse_number(focus, "focus", 0, len(self._place.pictures) - 1))
        return JSONResponse(await run_in_threadpool(self._state, since))

    async def frame(self, request: Request) -> Response:
        """Return picture `index` as JPEG, at most `width` px wide."""
        index = parse_number(str(request.path_params["index"]), "frame", 0, len(self._place.pictures) - 1)
        given = request.query_params.get("width", str(LARGEST_WIDTH))
        width = parse_number(given, "width", SMALLEST_WIDTH, LARGEST_WIDTH)
        own = self._place.pictures.size_of(index)[0]
        data = await run_in_threadpool(self._encoded, index, min(width, own))
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400, immutable"})

    async def edit(self, request: Request) -> Response:
        """Make one edit, then return what changed."""
        body = await read_body(request, LARGEST_EDIT)
        return JSONResponse(await run_in_threadpool(self._edit, body))

    async def export(self, request: Request) -> Response:
        """Return everything in one of the formats, as a file to keep."""
        kind = request.path_params["kind"]
        if kind not in self._place.formats:
            raise ConfigError("format", expected=f"one of {', '.join(self._place.formats)}", got=kind[:40])
        text = await run_in_threadpool(self._place.export, kind)
        ending, media_type = self._place.formats[kind]
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in self._place.name) + ending
        headers = {"content-disposition": f'attachment; filename="{name.encode("ascii", "replace").decode()}"'}
        return Response(text, media_type=media_type, headers=headers)

    async def import_(self, request: Request) -> Response:
        """Replace everything by what a file says."""
        kind = request.path_params["kind"]
        body = await read_body(request, LARGEST_IMPORT)
        text = decode(body, "the imported file", Wanted(what="labels", error=ConfigError))
        return JSONResponse(await run_in_threadpool(self._import, kind, text))

    def _sequences(self) -> list[dict[str, Any]]:
        mine = self._place.progress()
        rows = [mine if row.name == mine.name else row for row in self._others()]
        return [{**asdict(row), "here": row is mine} for row in (rows if mine in rows else [mine, *rows])]

    def _state(self, since: int) -> dict[str, Any]:
        return {**self._place.changes(since, self._worker.focus), "trouble": self._worker.trouble or self._replaced()}

    def _replaced(self) -> str:
        """Say that another file has the name of the picture in view, "" if none has."""
        try:
            self._place.pictures.refuse_replaced([self._worker.focus])
        except HanddataError as error:
            return str(error)
        return ""

    def _edit(self, body: bytes) -> dict[str, Any]:
        result, since = self._place.edit(body)
        self._worker.wake()
        return {**self._state(since), "result": result}

    def _import(self, kind: str, text: str) -> dict[str, Any]:
        count = self._place.import_text(kind, text)
        self._worker.wake()
        return {**self._state(0), "result": count}


def make_app(
    place: Workplace, worker: Worker, token: str, bind: str = "127.0.0.1", others: Others | None = None
) -> Starlette:
    """Return the application, guarded."""
    return guarded(Annotator(place, worker, others).routes(), token, bind)


def make_server(
    place: Workplace, worker: Worker, token: str, host: str = "127.0.0.1", others: Others | None = None
) -> uvicorn.Server:
    """Return the server, not yet running; it logs faults of its own and nothing else."""
    return server_of(make_app(place, worker, token, host, others))


def serve(place: Workplace, worker: Worker, sock: socket.socket, host: str, others: Others | None = None) -> None:
    """Serve a page on a listening socket until the person ends it with Ctrl-C; the worker runs meanwhile."""
    cv2.setNumThreads(1)  # work in the background must not take the core that answers the page
    token = secrets.token_urlsafe(24)
    server = make_server(place, worker, token, host, others)
    worker.start()
    try:
        run_until_ended(server, sock, host, token, "ends and saves")
    finally:
        worker.stop()
