"""HTTP: one aiohttp session, with the proxies and certificates that the environment names.

The transport decides the speed more than anything else (docs/design.md has the figures). It sends exactly the bytes
that it is given, follows no redirect, reads no more than a sensible reply can hold, and turns every way in which a
connection can fail into a `NoReplyError`.

It never sends anything twice: a request that was cut off may have been answered and billed, which only the caller can
count. Servers close idle connections, and a request on such a connection would be lost. So ours are closed earlier than
most servers do it, and before one is reused, the event loop gets to see whether it is still open.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from syphus.config.secrets import SecretRedactor
from syphus.errors import ConfigError

MAX_UNCHUNKED_BYTES = 1 << 20  #: a larger request is sent in chunks, so that the others get their turn
MAX_REPLY_BYTES = 32 * 2**20  #: a chat completion has a few kilobytes, and an endless body must end somewhere
CONNECT_TIMEOUT = 20.0  #: seconds for DNS, TCP, proxy and TLS together
KEEPALIVE = 4.0  #: seconds that an idle connection is kept open; uvicorn (vLLM) and Node close theirs after 5
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_UNKNOWN_ISSUER = {2, 18, 19, 20, 21}  # X509_V_ERR_*: naming a certificate authority helps against these


#: Called when bytes of a reply arrive: a server that is still sending is alive. Whoever sends a request sets it.
ON_BYTES: ContextVar[Callable[[], None] | None] = ContextVar("ON_BYTES", default=None)


class Reply(NamedTuple):
    """A reply of any status. `headers` is case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReplyKind(StrEnum):
    """Why no reply came. The ledger counts requests by these texts."""

    UNKNOWN_HOST = "unknown host"
    REFUSED = "connection refused"
    TLS = "TLS"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    RESET = "reset"
    CUT_BODY = "cut body"
    TOO_LARGE = "too large"
    NOT_HTTP = "not HTTP"
    INTERRUPTED = "interrupted"  #: by this process, which was asked to stop
    GIVEN_UP = "given up"  #: by this process: it took much longer than others, and is sent again
    SUPERSEDED = "not waited for"  #: by this process: a second request for the same row was answered first

    @property
    def is_likely_misconfiguration(self) -> bool:
        """Whether wrong settings are a likelier reason than a transient fault if no reply has ever come."""
        return self in (NoReplyKind.UNKNOWN_HOST, NoReplyKind.TLS, NoReplyKind.PROXY)


class NoReplyError(Exception):
    """No complete reply came.

    `sent` says that the request had been sent, so that an answer may have been produced and billed.
    """

    def __init__(self, kind: NoReplyKind, message: str = "", sent: bool = False) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind
        self.message = message
        self.sent = sent


class Transport:
    """Posts bytes to one host. Create it inside a running event loop and `close` it there.

    Raises `ConfigError` if the environment names a proxy or certificates that can't be used.
    """

    def __init__(
        self,
        base_url: str,
        connections: int,
        redactor: SecretRedactor,
        verify: bool = True,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        proxy = proxy_for(base_url)
        self._proxy = proxy.with_user(None) if proxy else None
        self._proxy_headers = _proxy_credentials(proxy, redactor) if proxy else {}
        self._tunnelled = urlsplit(base_url).scheme == "https"
        self._connect_timeout = connect_timeout
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections, ssl=_ssl_setting(base_url, self._proxy, verify), keepalive_timeout=KEEPALIVE
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout),
            auto_decompress=True,
        )

    async def post(self, url: URL, headers: Mapping[str, str], body: bytes) -> Reply:
        """Post `body` and return the whole reply. There is no timeout: that is up to the caller.

        Raises `NoReplyError` if no complete reply came.
        """
        for _ in range(2):  # the event loop notices closed connections and drops them
            await asyncio.sleep(0)
        return await self._request("POST", url, headers, body if len(body) <= MAX_UNCHUNKED_BYTES else io.BytesIO(body))

    async def get(self, url: URL, headers: Mapping[str, str]) -> Reply:
        """Get a URL; as `post`."""
        return await self._request("GET", url, headers, None)

    async def _request(
        self, method: str, url: URL, headers: Mapping[str, str], data: bytes | io.BytesIO | None
    ) -> Reply:
        if self._proxy_headers and not self._tunnelled:
            headers = {**headers, **self._proxy_headers}
        sent = False
        try:
            async with self._session.request(
                method,
                url,
                data=data,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
            ) as response:
                sent = True
                return Reply(response.status, response.headers, await _read(response, ON_BYTES.get()))
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            raise self._no_reply(error, sent) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def _no_reply(self, error: Exception, sent: bool) -> NoReplyError:
        """Return the error for what aiohttp raised, without quoting the server.

        The most specific cases come first: aiohttp's connection errors inherit from one another.
        """
        match error:
            case aiohttp.ClientConnectorDNSError():
                return NoReplyError(NoReplyKind.UNKNOWN_HOST, error.host)
            case UnicodeError():
                return NoReplyError(NoReplyKind.UNKNOWN_HOST, "not a valid host name")
            case aiohttp.ClientSSLError():
                return NoReplyError(NoReplyKind.TLS, _tls_problem(error.os_error))
            case aiohttp.ClientProxyConnectionError():
                return NoReplyError(NoReplyKind.PROXY, f"{error.host}:{error.port}: {error.strerror}")
            case aiohttp.ClientHttpProxyError():
                return NoReplyError(NoReplyKind.PROXY, _proxy_refusal(self._proxy, error.status))
            case aiohttp.ClientConnectorError():
                return NoReplyError(NoReplyKind.REFUSED, error.strerror or "")
            case aiohttp.ConnectionTimeoutError():
                return NoReplyError(NoReplyKind.TIMEOUT, f"no connection within {self._connect_timeout:g} s")
            case aiohttp.ServerTimeoutError() | TimeoutError():
                return NoReplyError(NoReplyKind.TIMEOUT, "", sent)
            case aiohttp.ClientPayloadError():
                return NoReplyError(
                    NoReplyKind.CUT_BODY, "the connection closed before the answer was complete", sent=True
                )
            case aiohttp.ClientResponseError():
                return NoReplyError(NoReplyKind.NOT_HTTP, "the reply is not HTTP; check scheme and port", sent=True)
        return NoReplyError(NoReplyKind.RESET, "the connection closed without an answer", sent=True)


async def _read(response: aiohttp.ClientResponse, on_bytes: Callable[[], None] | None) -> bytes:
    length = response.content_length
    if length is not None and length <= MAX_REPLY_BYTES and "Content-Encoding" not in response.headers:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        if on_bytes is not None:
            on_bytes()
        parts.append(part)
        size += len(part)
        if size > MAX_REPLY_BYTES:
            raise NoReplyError(NoReplyKind.TOO_LARGE, f"more than {MAX_REPLY_BYTES >> 20} MiB", sent=True)
    return b"".join(parts)


def _tls_problem(error: OSError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = str(getattr(error, "reason", "") or error.strerror)
        return f"{reason.replace('_', ' ').lower()}; this port may not speak TLS"
    if error.verify_code in _UNKNOWN_ISSUER:
        advice = f"name your certificate authority with {_CA_VARIABLES[0]}=/path/to/ca.pem"
        return f"certificate verify failed: {error.verify_message}; {advice}"
    return f"certificate verify failed: {error.verify_message}"


def _proxy_refusal(proxy: URL | None, status: int) -> str:
    where = f"{proxy.host}:{proxy.port}" if proxy else "it"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return f"{where} requires a user name and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    return f"{where} refuses to connect ({status})"


def _ssl_setting(base_url: str, proxy: URL | None, verify: bool) -> ssl.SSLContext | bool:
    """Return aiohttp's `ssl` argument. Certificates are read only if TLS is used, since that takes a while."""
    schemes = {urlsplit(base_url).scheme, proxy.scheme if proxy else ""}
    return ssl_context() if verify and "https" in schemes else verify


def ssl_context() -> ssl.SSLContext:
    """Return a context with the certificates of SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, or the system's.

    Raises `ConfigError` if they can't be read.
    """
    variable = next((name for name in _CA_VARIABLES if os.environ.get(name)), "")
    path = Path(os.environ[variable]) if variable else None
    try:
        if path is not None and path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:  # SSLError is one
        raise ConfigError(f"{variable}={path} can't be read as certificates: {error.strerror}") from error


def _proxy_credentials(proxy: URL, redactor: SecretRedactor) -> dict[str, str]:
    """Return the header with the proxy's credentials, in UTF-8; aiohttp's own supports only Latin-1."""
    if not proxy.user:
        return {}
    credentials = f"{proxy.user}:{proxy.password or ''}"
    redactor.keep(proxy.password or "")
    redactor.keep(credentials)  # also in base64, as it is sent
    return {"Proxy-Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def proxy_for(url: str) -> URL | None:
    """Return the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY name, unless NO_PROXY exempts the host.

    Call it once: looking it up for every request costs more than the request. Raises `ConfigError` if it is not an HTTP
    proxy.
    """
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.netloc.rpartition("@")[2]) or proxy_bypass(parts.hostname):
        return None
    proxies = getproxies()
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    text = proxies.get(kind, "")
    if not text:
        return None
    variable = f"{kind.upper()}_PROXY"
    invalid = ConfigError(f"{variable} must be a URL such as http://proxy.example:3128")
    try:
        proxy = URL(text if "://" in text else f"http://{text}")  # like curl, accept host:port too
    except ValueError:
        raise invalid from None
    if proxy.scheme not in ("http", "https"):
        raise ConfigError(f"{variable} names a {proxy.scheme!r} proxy; only http and https are supported")
    if not proxy.host:
        raise invalid
    return proxy
