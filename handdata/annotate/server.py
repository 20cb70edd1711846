"""The annotator's server: a route parses, makes one call of the session, returns JSON. Listens on this machine only."""

import errno
import os
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import lru_cache
from importlib import resources
from types import FrameType
from typing import Any

import cv2
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from handdata.annotate.access import Guard
from handdata.annotate.box_formats import FORMATS, export_text, import_text
from handdata.annotate.page_state import Feed
from handdata.annotate.requests import Edit, parse_edit, parse_number
from handdata.annotate.session import Session
from handdata.annotate.worker import Worker
from handdata.errors import BusyError, ConfigError, HanddataError, WriteError
from handdata.files.text import Wanted, decode
from handdata.progress import say

PAGE = {
    "": "text/html",
    "page.css": "text/css",
    **dict.fromkeys(("page.js", "pictures.js", "server.js", "timeline.js", "view.js"), "text/javascript"),
}
LARGEST_EDIT = 64 * 1024  # bytes
LARGEST_IMPORT = 64 * 1024 * 1024  # bytes
ENCODED_KEPT = 256  # pictures, about 60 kB each
SMALLEST_WIDTH, LARGEST_WIDTH = 16, 8192  # px

Endpoint = Callable[[Request], Awaitable[Response]]


class Annotator:
    """The routes of one opened session."""

    def __init__(self, session: Session, worker: Worker) -> None:
        self._session = session
        self._worker = worker
        self._feed = Feed(session)
        self._run = secrets.token_hex(4)  # in the pictures' addresses, so that no browser's cache mixes two sequences
        self._encoded = lru_cache(ENCODED_KEPT)(session.pictures.encode)

    def routes(self) -> list[Route]:
        """Return the routes, the page's own files among them."""
        return [
            *(Route(f"/{name}", _page_file(name)) for name in PAGE),
            Route("/api/sequence", self.sequence),
            Route("/api/state", self.state),
            Route("/api/frame/{index:int}", self.frame),
            Route("/api/edit", self.edit, methods=["POST"]),
            Route("/api/export/{kind}", self.export),
            Route("/api/import/{kind}", self.import_, methods=["POST"]),
        ]

    async def sequence(self, _: Request) -> Response:
        """Return what does not change while the sequence is open."""
        return JSONResponse({**self._feed.sequence(), "run": self._run, "formats": list(FORMATS)})

    async def state(self, request: Request) -> Response:
        """Return what changed since version `since`; `focus` is the frame in view."""
        since = parse_number(request.query_params.get("since", "0"), "since", 0, 2**53)
        focus = request.query_params.get("focus", str(self._worker.focus))
        self._worker.focus = parse_number(focus, "focus", 0, len(self._session.pictures) - 1)
        return JSONResponse(await run_in_threadpool(self._state, since))

    async def frame(self, request: Request) -> Response:
        """Return picture `index` as JPEG, at most `width` px wide."""
        index = parse_number(str(request.path_params["index"]), "frame", 0, len(self._session.pictures) - 1)
        given = request.query_params.get("width", str(LARGEST_WIDTH))
        width = parse_number(given, "width", SMALLEST_WIDTH, LARGEST_WIDTH)
        data = await run_in_threadpool(self._encoded, index, min(width, self._session.pictures.width))
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400, immutable"})

    async def edit(self, request: Request) -> Response:
        """Make one edit, then return what changed."""
        edit, since = parse_edit(await _body(request, LARGEST_EDIT))
        return JSONResponse(await run_in_threadpool(self._edit, edit, since))

    async def export(self, request: Request) -> Response:
        """Return the boxes in one of exchange.FORMATS, as a file to keep."""
        kind = request.path_params["kind"]
        text = await run_in_threadpool(lambda: export_text(kind, self._session.rows(), self._session.pictures))
        ending, media_type = FORMATS[kind]
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in self._session.path.stem) + ending
        headers = {"content-disposition": f'attachment; filename="{name.encode("ascii", "replace").decode()}"'}
        return Response(text, media_type=media_type, headers=headers)

    async def import_(self, request: Request) -> Response:
        """Replace all boxes by a file's."""
        kind = request.path_params["kind"]
        body = await _body(request, LARGEST_IMPORT)
        text = decode(body, "the imported file", Wanted(what="boxes", error=ConfigError))
        return JSONResponse(await run_in_threadpool(self._import, kind, text))

    def _state(self, since: int) -> dict[str, Any]:
        return {**self._feed.changes(since), "trouble": self._worker.trouble}

    def _edit(self, edit: Edit, since: int) -> dict[str, Any]:
        result = edit(self._session)
        self._worker.wake()
        return {**self._state(since), "result": result}

    def _import(self, kind: str, text: str) -> dict[str, Any]:
        where = "the imported file"
        count = self._session.import_rows(import_text(kind, text, where, self._session.pictures), where)
        self._worker.wake()
        return {**self._state(0), "result": count}


def make_app(session: Session, worker: Worker, token: str, bind: str = "127.0.0.1") -> Starlette:
    """Return the application, guarded."""
    handlers: dict[Any, Any] = {
        HanddataError: _refused,
        OSError: _failed,
        WriteError: _failed,
        HTTPException: _http_error,
        ClientDisconnect: _gone,
    }
    middleware = [Middleware(Guard, token=token, bind=bind)]
    return Starlette(routes=Annotator(session, worker).routes(), middleware=middleware, exception_handlers=handlers)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        BusyError: the port is taken.
        ConfigError: no such address here.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            fix = "Take another with --port, or --port 0 for any free one."
            got = os.strerror(error.errno)
            raise BusyError(f"{host}:{port}", expected="a free port", got=got, fix=fix) from error
        raise ConfigError("--host", expected="an address of this machine", got=host) from error


def make_server(session: Session, worker: Worker, token: str, host: str = "127.0.0.1") -> uvicorn.Server:
    """Return the server, not yet running; it logs faults of its own and nothing else."""
    config = uvicorn.Config(
        make_app(session, worker, token, host),
        log_level="error",
        access_log=False,
        server_header=False,
        http="h11",
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


def serve(session: Session, sock: socket.socket, host: str) -> None:
    """Serve the page on a listening socket until the person ends it with Ctrl-C."""
    cv2.setNumThreads(1)  # tracking must not take the core that answers the page
    token = secrets.token_urlsafe(24)
    worker = Worker(session)
    server = make_server(session, worker, token, host)
    signal.signal(signal.SIGTERM, _end)
    worker.start()
    name = f"[{host}]" if ":" in host else host
    say(f"open http://{name}:{sock.getsockname()[1]}/#{token}  (Ctrl-C ends and saves)")
    try:
        server.run(sockets=[sock])
    except KeyboardInterrupt:
        pass
    finally:
        worker.stop()


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _page_file(name: str) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        data = (resources.files("handdata.annotate") / "page" / (name or "index.html")).read_bytes()
        return Response(data, media_type=PAGE[name], headers={"cache-control": "no-cache"})

    return endpoint


async def _body(request: Request, limit: int) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise HTTPException(413, f"expected at most {limit} bytes")
    return bytes(data)


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


async def _failed(_: Request, error: Exception) -> Response:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return JSONResponse({"error": f"not saved: {reason}. The edit was not made."}, status_code=507)


async def _http_error(_: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return JSONResponse({"error": str(detail)}, status_code=status)


async def _gone(_: Request, _error: Exception) -> Response:
    return Response(status_code=400)
