"""Who may talk to a local page: this machine's own browser, with the token of this run. ASGI middleware.

A web page elsewhere can make a browser send requests to 127.0.0.1, and a name it controls can be made to point there
(DNS rebinding). So the Host must be an address of this machine, the Origin, if there is one, must be the same, and
everything but the empty page itself needs the token, in a header that no foreign page can set.
"""

import asyncio
import ipaddress
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-handdata-token"  # noqa: S105 - its name, not the token
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Refuse requests with a foreign Host or Origin, and calls without the token.

    Args:
        app: what is guarded.
        token: what calls must carry.
        bind: the address the server listens on; beyond loopback any literal address may be the Host, never a name.
    """

    def __init__(self, app: ASGIApp, token: str, bind: str) -> None:
        self._app = app
        self._token = token
        self._local_only = is_loopback(bind)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or pass the request on."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await JSONResponse({"error": refusal}, status_code=403, headers=_HEADERS)(scope, receive, send)
            return

        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # the server ends, and waits no longer for the rest of this request
            if not begun:
                await JSONResponse({"error": "the page was ended"}, status_code=503)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return "the Host is not this machine's address: open the page under the address that was printed"
        if len(origins) > 1 or (origins and origins[0] != f"http://{hosts[0]}"):
            return "the request comes from another site"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "the request comes from another site"
        given = headers.get(TOKEN_HEADER, "")
        if scope["path"].startswith("/api/") and not secrets.compare_digest(given.encode(), self._token.encode()):
            return "the token is missing or of another run: open the page under the address that was printed"
        return None

    def _is_own(self, host: str) -> bool:
        name = host_name(host)
        if name is None:
            return False
        return is_loopback(name) or (not self._local_only and _is_address(name))


def host_name(host: str) -> str | None:
    """Return the name in a Host header, None if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    plain = parts.netloc == host and parts.username is None and not parts.path
    return parts.hostname if plain else None


def is_loopback(name: str) -> bool:
    """Say whether a name or address is this machine's loopback."""
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
