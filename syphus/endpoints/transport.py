"""What carries the bytes: one aiohttp session, with proxies and certificates as the environment says.

The transport decides the speed before anything else does (docs/design.md has the figures). It sends exactly the bytes
that it is given, follows no redirect, reads no more than a sane answer can hold, and turns every way in which a
connection can fail into one `NoReplyError`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

LARGEST_ANSWER = 32 * 2**20  #: bytes; a chat completion is a few kilobytes, and an endless body must end somewhere
CONNECT_TIMEOUT = 20.0  #: seconds for DNS, TCP, proxy and TLS together
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Reply(NamedTuple):
    """What came back, whatever its status. `headers` is case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReplyError(Exception):
    """No complete reply came.

    `kind` is one of unknown host, connection refused, TLS, proxy, timeout, reset, cut body, too large; `sent` says that
    the request had gone out, so that an answer may have been produced and billed.
    """

    def __init__(self, kind: str, message: str = "", sent: bool = False) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind
        self.message = message
        self.sent = sent


class Transport:
    """Posts bytes to one host. Made inside a running event loop; `close` it there too."""

    def __init__(self, base_url: str, connections: int, verify: bool = True) -> None:
        self._proxy = proxy_for(base_url)
        secure = ssl_context() if verify and base_url.startswith("https:") else verify
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=secure),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT),
            auto_decompress=True,
        )

    async def post(self, url: URL, headers: Mapping[str, str], body: bytes) -> Reply:
        """Sends and waits for the whole answer, for ever if need be: the deadline is the caller's.

        Raises `NoReplyError` where no complete answer came.
        """
        sent = False
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False, proxy=self._proxy
            ) as response:
                sent = True
                return Reply(response.status, response.headers, await _read(response))
        except (aiohttp.ClientError, OSError) as error:
            raise _problem(error, sent) from error

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    length = response.content_length
    if length is not None and length <= LARGEST_ANSWER:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise NoReplyError("too large", f"more than {LARGEST_ANSWER >> 20} MiB", sent=True)
    return b"".join(parts)


def _problem(error: Exception, sent: bool) -> NoReplyError:
    """Most specific first: aiohttp's connection errors inherit from one another."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return NoReplyError("unknown host", error.host)
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return NoReplyError("TLS", _tls_advice(error))
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return NoReplyError("proxy", str(error))
        case aiohttp.ClientConnectorError():
            return NoReplyError("connection refused", error.strerror or str(error))
        case aiohttp.ConnectionTimeoutError() | aiohttp.ServerTimeoutError() | TimeoutError():
            return NoReplyError("timeout", "", sent)
        case aiohttp.ClientPayloadError():
            return NoReplyError("cut body", "the connection closed before the answer was complete", sent=True)
        case aiohttp.InvalidURL():
            return NoReplyError("unknown host", str(error))
    return NoReplyError("reset", "the connection closed without an answer", sent=True)


def _tls_advice(error: Exception) -> str:
    return f"{error}; name your own certificate authority with {_CA_VARIABLES[0]}=/path/to/ca.pem"


def ssl_context() -> ssl.SSLContext:
    """The system's certificates, or the bundle that SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names."""
    named = next((os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)), None)
    return ssl.create_default_context(cafile=named)


def proxy_for(url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY ask for, unless NO_PROXY exempts the host.

    Looked up once: asking for every request costs more than the request.
    """
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")
