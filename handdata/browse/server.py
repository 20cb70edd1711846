"""The routes of the page over shards: each parses, makes one call, returns JSON or a picture. Hands go by number."""

import json
import secrets
import socket
from functools import lru_cache
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from handdata.browse.browsing import Browsing
from handdata.browse.drawing import as_jpeg, canvas_picture, mask_picture, small_picture
from handdata.browse.query import Rows, parse_query
from handdata.browse.training_view import TrainingView
from handdata.errors import ConfigError
from handdata.files.text import Wanted, as_object, decode, parse_json
from handdata.serving.local import SHARED, guarded, page_routes, read_body, run_until_ended, server_of

PAGE_SCRIPTS = ("dom.js", "filters.js", "findings.js", "grid.js", "large.js", "page.js", "poses.js", "skeleton.js",
                "source.js", "work.js")  # fmt: skip
PAGE = {"": "text/html", "page.css": "text/css", **dict.fromkeys(PAGE_SCRIPTS, "text/javascript")}
LARGEST = 8 * 1024 * 1024  # bytes of a query: it may list rows
SMALL_KEPT = 2000  # small pictures, about 10 kB each
_FORM = Wanted(what="an edit", error=ConfigError)
_KEEP = {"cache-control": "private, max-age=86400, immutable"}


class BrowsePage:
    """The routes of some opened shards.

    Args:
        browsing: what is shown.
        training: shows what training makes of a hand; None leaves that out.
    """

    def __init__(self, browsing: Browsing, training: TrainingView | None = None) -> None:
        self._browsing = browsing
        self._training = training
        self._run = secrets.token_hex(4)  # in the pictures' addresses, so that no cache mixes two datasets
        self._small = lru_cache(SMALL_KEPT)(self._draw_small)

    def routes(self) -> list[Route]:
        """Return the routes, the page's own files among them."""
        return [
            *page_routes("handdata.browse", PAGE),
            *page_routes("handdata.serving", SHARED),
            Route("/api/table", self.table),
            Route("/api/state", self.state),
            Route("/api/query", self.query, methods=["POST"]),
            Route("/api/ids", self.ids, methods=["POST"]),
            Route("/api/hand/{number}", self.hand),
            Route("/api/picture/{kind}/{number}", self.picture),
            Route("/api/tag", self.tag, methods=["POST"]),
            Route("/api/note", self.note, methods=["POST"]),
            Route("/api/subset", self.subset, methods=["POST"]),
            Route("/api/mend", self.mend, methods=["POST"]),
            Route("/api/compute/{column}", self.compute, methods=["POST"]),
            Route("/api/findings", self.findings),
            Route("/api/findings", self.check, methods=["POST"]),
        ]

    async def table(self, _: Request) -> Response:
        """Return what does not change while the shards are open."""
        described = await run_in_threadpool(self._browsing.described)
        kinds = ["labels", "plain", *(["training"] if self._training else [])]
        return JSONResponse({**described, "run": self._run, "kinds": kinds})

    async def state(self, _: Request) -> Response:
        """Return tags, and which columns are ready; the page asks once it shows something, so slow ones begin now."""
        self._browsing.slow.begin()
        return JSONResponse(await run_in_threadpool(self._browsing.state))

    async def query(self, request: Request) -> Response:
        """Return some rows of an answer."""
        wanted = parse_query(await read_body(request, LARGEST))
        return JSONResponse(await run_in_threadpool(self._browsing.page, *wanted))

    async def ids(self, request: Request) -> Response:
        """Return the ids of all hands of an answer, one per line, as a file to keep."""
        query, _, _ = parse_query(await read_body(request, LARGEST))
        ids = await run_in_threadpool(lambda: self._browsing.ids(self._browsing.select(query)[0]))
        return PlainTextResponse("".join(f"{name}\n" for name in ids))

    async def hand(self, request: Request) -> Response:
        """Return all that is shown of one hand."""
        return JSONResponse(await run_in_threadpool(self._browsing.facts, self._number(request)))

    async def picture(self, request: Request) -> Response:
        """Return a picture of one hand: small ones for the grid, or its canvas, mask or picture as shipped."""
        number, kind = self._number(request), request.path_params["kind"]
        if kind in ("labels", "plain", "training"):
            data: bytes | None = await run_in_threadpool(self._small, number, kind)
        elif kind == "canvas":
            data = await run_in_threadpool(lambda: canvas_picture(self._browsing.hand(number)))
        elif kind == "mask":
            data = await run_in_threadpool(lambda: mask_picture(self._browsing.hand(number)))
        elif kind == "shipped":
            return await run_in_threadpool(self._shipped, number)
        else:
            raise HTTPException(404)
        if data is None:
            raise HTTPException(404, "no such picture")
        return Response(data, media_type="image/png" if kind == "mask" else "image/jpeg", headers=_KEEP)

    async def tag(self, request: Request) -> Response:
        """Put a tag on hands, or take it off: on listed rows, or on all of an answer."""
        edit = _edit(await read_body(request, LARGEST))
        rows = await run_in_threadpool(self._rows, edit)
        count = await run_in_threadpool(
            lambda: self._browsing.tag(edit.get("tag", ""), rows, on=edit.get("on") is not False)
        )
        return JSONResponse({"changed": count, **await run_in_threadpool(self._browsing.state)})

    async def note(self, request: Request) -> Response:
        """Write the note of one hand."""
        edit = _edit(await read_body(request, LARGEST))
        number, text = self._checked(edit.get("number")), edit.get("text")
        await run_in_threadpool(self._browsing.note, number, text)
        return JSONResponse({})

    async def subset(self, request: Request) -> Response:
        """Write all hands of an answer as shards of their own."""
        edit = _edit(await read_body(request, LARGEST))
        rows = await run_in_threadpool(self._rows, edit)
        out = await run_in_threadpool(self._browsing.save_subset, edit.get("name", ""), rows)
        return JSONResponse({"folder": str(out), "hands": len(rows)})

    async def mend(self, request: Request) -> Response:
        """Send hands to the annotator: listed rows, or all of an answer."""
        edit = _edit(await read_body(request, LARGEST))
        rows = await run_in_threadpool(self._rows, edit)
        sent = await run_in_threadpool(self._browsing.send, rows)
        return JSONResponse([{"hands": one.hands, "file": str(one.file), "command": one.command} for one in sent])

    async def compute(self, request: Request) -> Response:
        """Start computing a slow column."""
        self._browsing.slow.ask(request.path_params["column"])
        return JSONResponse(await run_in_threadpool(self._browsing.state))

    async def findings(self, _: Request) -> Response:
        """Return what `verify` found so far."""
        return JSONResponse(await run_in_threadpool(self._browsing.findings.as_json))

    async def check(self, request: Request) -> Response:
        """Start `verify`."""
        self._browsing.findings.begin()
        return await self.findings(request)

    def _draw_small(self, number: int, kind: str) -> bytes:
        if kind == "training":
            if self._training is None:
                raise HTTPException(404)
            return as_jpeg(self._training.draw([number])[0])
        return small_picture(self._browsing.hand(number), labels=kind == "labels")

    def _shipped(self, number: int) -> Response:
        hand = self._browsing.hand(number)
        image, path = self._browsing.shipped.read(hand)
        told = json.dumps({"path": path, "width": image.shape[1], "height": image.shape[0]})
        return Response(as_jpeg(image), media_type="image/jpeg", headers={"x-handdata-picture": told})

    def _rows(self, edit: dict[str, Any]) -> Rows:
        if "rows" in edit:
            listed = edit["rows"] if isinstance(edit["rows"], list) else [None]
            return np.array([self._checked(row) for row in listed], np.int64)
        asked = edit.get("query")
        if not isinstance(asked, dict) or "where" not in asked:  # a misspelt or forgotten name is not all hands
            expected = "the hands that are meant: rows, or a query with where ({} is all)"
            raise ConfigError("edit", expected=expected, got=str(asked)[:80] if "query" in edit else "neither")
        query, _, _ = parse_query(json.dumps(asked).encode())
        return self._browsing.select(query)[0]

    def _number(self, request: Request) -> int:
        text = str(request.path_params["number"])
        return self._checked(int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else text)

    def _checked(self, number: Any) -> int:
        total = len(self._browsing.data)
        if type(number) is not int or not 0 <= number < total:
            raise ConfigError("hand", expected=f"a number below {total}", got=str(number)[:40])
        return int(number)


def make_app(
    browsing: Browsing, token: str, bind: str = "127.0.0.1", training: TrainingView | None = None
) -> Starlette:
    """Return the application, guarded."""
    return guarded(BrowsePage(browsing, training).routes(), token, bind)


def make_server(
    browsing: Browsing, token: str, host: str = "127.0.0.1", training: TrainingView | None = None
) -> uvicorn.Server:
    """Return the server, not yet running."""
    return server_of(make_app(browsing, token, host, training))


def serve(browsing: Browsing, sock: socket.socket, host: str, training: TrainingView | None = None) -> None:
    """Serve the page on a listening socket until the person ends it with Ctrl-C."""
    token = secrets.token_urlsafe(24)
    try:
        run_until_ended(make_server(browsing, token, host, training), sock, host, token, "ends; tags are saved")
    finally:
        browsing.close()


def _edit(body: bytes) -> dict[str, Any]:
    return as_object(parse_json(decode(body, "edit", _FORM), "edit", _FORM), "edit", _FORM)
