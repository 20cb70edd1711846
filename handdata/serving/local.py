"""A server for one local page: its socket, its guarded application, its own files, and what it says of mistakes."""

import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib import resources
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from handdata.errors import BusyError, ConfigError, HanddataError, WriteError, printable
from handdata.progress import say
from handdata.serving.access import Guard
from handdata.serving.patience import Patient

SHARED = dict.fromkeys(("call.js", "saying.js"), "text/javascript")  # files of `serving/page` that every page loads
Endpoint = Callable[[Request], Awaitable[Response]]


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


def guarded(routes: Sequence[Route], token: str, bind: str) -> Starlette:
    """Return an application of some routes, guarded; mistakes are answered as `{"error": line}`."""
    handlers: dict[Any, Any] = {
        HanddataError: _refused,
        OSError: _failed,
        WriteError: _failed,
        HTTPException: _http_error,
        ClientDisconnect: _gone,
    }
    return Starlette(
        routes=list(routes), middleware=[Middleware(Guard, token=token, bind=bind)], exception_handlers=handlers
    )


def server_of(app: Starlette) -> uvicorn.Server:
    """Return the server, not yet running; it logs faults of its own and nothing else."""
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        http=Patient,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


def run_until_ended(server: uvicorn.Server, sock: socket.socket, host: str, token: str, ending: str) -> None:
    """Say the page's address and serve it until the person ends it with Ctrl-C.

    Args:
        server: of `server_of`.
        sock: of `listen`.
        host: the address that it listens on.
        token: what calls must carry; the address that is said holds it.
        ending: what Ctrl-C does, for the line that is said.
    """
    signal.signal(signal.SIGTERM, _end)
    name = f"[{host}]" if ":" in host else host
    say(f"open http://{name}:{sock.getsockname()[1]}/#{token}  (Ctrl-C {ending})")
    with suppress(KeyboardInterrupt):
        server.run(sockets=[sock])


def page_routes(package: str, page: Mapping[str, str]) -> list[Route]:
    """Return the routes of a page's own files.

    The page itself names its scripts beforehand, so that a browser need not find them one in the other.

    Args:
        package: whose folder `page` holds them.
        page: name -> media type; "" is index.html.
    """
    scripts = [name for name in (*page, *SHARED) if name.endswith(".js")]
    links = {"link": ", ".join(f"</{name}>; rel=modulepreload" for name in scripts)}
    return [
        Route(f"/{name}", _page_file(package, name, media_type, {} if name else links))
        for name, media_type in page.items()
    ]


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request of at most `limit` bytes.

    Raises:
        HTTPException: 413, it is larger.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise HTTPException(413, f"expected at most {limit} bytes")
    return bytes(data)


def _page_file(package: str, name: str, media_type: str, more: Mapping[str, str]) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        data = (resources.files(package) / "page" / (name or "index.html")).read_bytes()
        return Response(data, media_type=media_type, headers={"cache-control": "no-cache", **more})

    return endpoint


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


async def _refused(_: Request, error: Exception) -> Response:
    line = error.without_skipping if isinstance(error, HanddataError) else str(error)  # no page has --skip-bad
    return JSONResponse({"error": line}, status_code=400)


async def _failed(request: Request, error: Exception) -> Response:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if request.method == "GET":
        file = getattr(error, "filename", None)
        return JSONResponse({"error": f"{printable(str(file))}: {reason}" if file else reason}, status_code=400)
    return JSONResponse({"error": f"not saved: {reason}. The edit was not made."}, status_code=507)


async def _http_error(_: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return JSONResponse({"error": str(detail)}, status_code=status)


async def _gone(_: Request, _error: Exception) -> Response:
    return Response(status_code=400)
