"""Who may talk to the viewer: the token, the names of the host, the origin of changes, and the headers of every reply.

The page is for the person who started it. A page of another site must not read it (the token, and the host's name
against DNS rebinding), change anything through it (origin, content type, and a header that forms can't send), or show
it in a frame. Captions and answers come from strangers, so the content security policy runs no script but those of
the viewer.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from syphus.viewer.replies import refusal

CHANGING = "X-Syphus"  #: header of every request that changes something; a form of another site can't send it
_TOKEN_BYTES = 24
_YEAR = 365 * 86400
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "syphus",
}
_LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
_ALL_ADDRESSES = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
_NO_ACCESS = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Syphus</title><p>This page needs the address that "
    "<code>syphus view</code> has printed, with its token. Open that one.</p></html>"
)
_ENTER = (
    '<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content="0;url=/"><title>Syphus</title>'
)


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class Guard:
    """Decides for each request whether it may pass, and sets the headers of every reply.

    `host` is the one that the viewer is bound to. Set `port` once it is known.
    """

    def __init__(self, host: str, token: str, port: int = 0) -> None:
        self.port = port
        self._token = token.encode()
        self._any_address = host in _ALL_ADDRESSES
        self._names = {host.lower(), *(_LOCAL_NAMES if self._any_address or host in _LOCAL_NAMES else ())}
        if self._any_address:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    @property
    def cookie(self) -> str:
        """The name of the cookie; cookies of one host are shared by all its ports."""
        return f"syphus-{self.port}"

    @property
    def middleware(self) -> Middleware:
        """Return what aiohttp calls for each request."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guard(request, handler)

        return guard

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request that may not pass, or hand it on."""
        if not self._is_known_host(request.host):
            return refusal(403, f"This viewer is not reached by the name {request.host[:100]!r}.")
        if "token" in request.query and request.method == "GET" and not request.path.startswith(("/api/", "/metrics")):
            if self._is_token(request.query["token"]):
                return self._enter(request)
            return self._closed(request)
        if not self._is_allowed(request):
            return self._closed(request)
        if request.method not in ("GET", "HEAD"):
            unsafe = _unsafe(request)
            if unsafe is not None:
                return unsafe
        return await handler(request)

    async def set_headers(self, request: web.Request, response: web.StreamResponse) -> None:  # noqa: ARG002 - aiohttp's
        """Set the headers of a reply before it is sent."""
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")

    def _is_known_host(self, host: str) -> bool:
        """Return whether the `Host` header is a name of this machine; the port may be that of a tunnel."""
        name = _host_name(host)
        if name in self._names:
            return True
        return self._any_address and _is_address(name)  # an address can't be rebound

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._token)

    def _is_allowed(self, request: web.Request) -> bool:
        kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(bearer.strip()):
            return True
        return self._is_token(request.cookies.get(self.cookie, ""))

    def _enter(self, request: web.Request) -> web.StreamResponse:
        """Give the cookie to the browser that has the token, and take the token out of the address."""
        if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            # A browser that followed a link of another page would not send the cookie with a redirect.
            response = web.Response(text=_ENTER, content_type="text/html", charset="utf-8")
        else:
            response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            self.cookie, self._token.decode(), httponly=True, samesite="Strict", path="/", max_age=_YEAR
        )
        return response

    def _closed(self, request: web.Request) -> web.Response:
        if request.path.startswith(("/api/", "/metrics")):
            return refusal(401, "Open the address that `syphus view` has printed, with its token.")
        return web.Response(status=401, text=_NO_ACCESS, content_type="text/html", charset="utf-8")


def _unsafe(request: web.Request) -> web.Response | None:
    """Return why a request may change nothing: it may have been made by a page of another site."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() not in (
        f"http://{request.host.lower()}",
        f"https://{request.host.lower()}",
    ):
        return refusal(403, "A page of another origin can change nothing here.")
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return refusal(403, "A page of another site can change nothing here.")
    if request.content_type != "application/json":
        return refusal(415, "Send application/json.")
    if request.headers.get(CHANGING) != "1":
        return refusal(403, f"The header {CHANGING}: 1 is missing.")
    return None


def _host_name(host: str) -> str:
    """Return a `Host` header without its port, in small letters."""
    host = host.strip().lower()
    if host.startswith("["):
        name, closing, _ = host[1:].partition("]")
        return name if closing else host
    return host.partition(":")[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
