"""HTTP: connections of our own where that is enough, and aiohttp for the rest.

The transport decides the speed more than anything else (docs/design.md has the figures). It sends exactly the bytes
that it is given, follows no redirect, reads no more than a sensible reply can hold, and turns every way in which a
connection can fail into a `NoReplyError`.

It never sends anything twice: a request that was cut off may have been answered and billed, which only the caller can
count. Servers close idle connections, and a request on such a connection would be lost. So ours are closed earlier than
most servers do it, and before one is reused, it is looked at whether it is still open.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import re
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from multidict import CIMultiDict
from yarl import URL

from syphus.config.secrets import SecretRedactor
from syphus.endpoints.connections import (
    KEEPALIVE,
    MAX_HEAD_BYTES,
    MAX_REPLY_BYTES,
    ON_BYTES,
    ConnectionPool,
    NoReplyError,
    NoReplyKind,
    Reply,
    cut_body,
    not_http,
    reset,
    too_large,
)
from syphus.endpoints.reply_body import decoded
from syphus.errors import ConfigError
from syphus.text import one_line

if TYPE_CHECKING:  # loading aiohttp takes a quarter of a second, and few runs need it
    import aiohttp

MAX_UNCHUNKED_BYTES = 1 << 20  #: a larger request is sent in chunks, so that the others get their turn
CONNECT_TIMEOUT = 20.0  #: seconds for DNS, TCP, proxy and TLS together
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_UNKNOWN_ISSUER = {2, 18, 19, 20, 21}  # X509_V_ERR_*: naming a certificate authority helps against these


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
        self._proxy = proxy_for(base_url)
        self._proxy_headers = _proxy_credentials(self._proxy, redactor) if self._proxy else {}
        self._connections = connections
        self._connect_timeout = connect_timeout
        schemes = {urlsplit(base_url).scheme, self._proxy.scheme if self._proxy else ""}
        self._tls = _tls(verify) if "https" in schemes else None  # reading certificates takes a while
        self._pool = None if self._proxy else ConnectionPool(self._tls, connect_timeout)
        self._client: _AiohttpClient | None = None

    async def post(self, url: URL, headers: Mapping[str, str], body: bytes) -> Reply:
        """Post `body` and return the whole reply. There is no timeout: that is up to the caller.

        Raises `NoReplyError` if no complete reply came.
        """
        return await self._request(url, headers, body)

    async def get(self, url: URL, headers: Mapping[str, str]) -> Reply:
        """Get a URL; as `post`."""
        return await self._request(url, headers, None)

    async def exchange(
        self, url: URL, headers: Mapping[str, str], body: bytes | aiohttp.Payload | None, target: Path | None = None
    ) -> Reply:
        """Post a body that may be a stream, or get a URL; as `post`. What comes with a 2xx goes to `target`, if given.

        For what is rare and may be large, such as files: `post` is faster, and holds all in memory.
        """
        return decoded(await self._aiohttp().request(url, headers, body, target))

    async def _request(self, url: URL, headers: Mapping[str, str], body: bytes | None) -> Reply:
        if self._pool is None or (body is not None and len(body) > MAX_UNCHUNKED_BYTES):
            return decoded(await self._aiohttp().request(url, headers, body))
        try:
            return decoded(await self._pool.request(url, headers, body))
        except (OSError, UnicodeError) as error:
            raise self._no_connection(error, url) from error

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            self._pool.close()
        if self._client is not None:
            await self._client.close()

    def _aiohttp(self) -> _AiohttpClient:
        if self._client is None:
            self._client = _AiohttpClient(
                self._connections, self._tls, self._proxy, self._proxy_headers, self._connect_timeout
            )
        return self._client

    def _no_connection(self, error: Exception, url: URL) -> NoReplyError:
        """Return the error for what kept a connection from being opened. The most specific cases come first."""
        match error:
            case UnicodeError():
                return NoReplyError(NoReplyKind.UNKNOWN_HOST, "not a valid host name")
            case socket.gaierror():
                return NoReplyError(NoReplyKind.UNKNOWN_HOST, url.host or "")
            case ssl.SSLError():
                return NoReplyError(NoReplyKind.TLS, _tls_problem(error))
            case TimeoutError():
                return NoReplyError(NoReplyKind.TIMEOUT, f"no connection within {self._connect_timeout:g} s")
            case ConnectionRefusedError():
                return NoReplyError(
                    NoReplyKind.REFUSED, f"nothing listens at {url.host_port_subcomponent}; is the server running?"
                )
            case OSError():  # of several addresses, if there is no text of one
                return NoReplyError(NoReplyKind.REFUSED, error.strerror or one_line(str(error), 200))
        raise AssertionError(error)


def _tls_problem(error: OSError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = str(getattr(error, "reason", "") or error.strerror)
        return f"{reason.replace('_', ' ').lower()}; this port may not speak TLS"
    if error.verify_code in _UNKNOWN_ISSUER:
        advice = f"name your certificate authority with {_CA_VARIABLES[0]}=/path/to/ca.pem"
        return f"certificate verify failed: {error.verify_message}; {advice}"
    return f"certificate verify failed: {error.verify_message}"


def _tls(verify: bool) -> ssl.SSLContext:
    if verify:
        return ssl_context()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


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
    proxies = getproxies()
    exempt = _is_exempt(parts, proxies["no"]) if proxies.get("no") else proxy_bypass(parts.hostname or "")
    if not parts.hostname or exempt:
        return None
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


def _is_exempt(address: SplitResult, exempted: str) -> bool:
    """Return whether `NO_PROXY` exempts the host of an address.

    Its entries are separated by commas or blanks, and may be: `*`; a host, whose subdomains are meant, too, with or
    without a dot or `*.` before it; a pattern; an IP address or a network (`10.0.0.0/8`, `fd00::/8`); each with a port.
    """
    host = (address.hostname or "").rstrip(".")
    port = address.port or {"http": 80, "https": 443}.get(address.scheme)
    try:
        ip = ip_address(host.partition("%")[0])
    except ValueError:
        ip = None
    for entry in re.split(r"[,\s]+", exempted.lower()):
        name, named_port = _host_and_port(entry)
        if not name or (named_port and named_port != str(port)):
            continue
        if ip is not None and (network := _network(name)) is not None:
            if ip in network:
                return True
            continue
        if ip is not None and "*" not in name:
            continue
        pattern = name.strip(".").removeprefix("*.").rstrip(".")
        if fnmatchcase(host, pattern) or fnmatchcase(host, f"*.{pattern}"):
            return True
    return False


def _host_and_port(entry: str) -> tuple[str, str]:
    """Split `host:port`, `[::1]:port`, or an IPv6 address, which has colons itself."""
    found = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?|([^:]*)(?::(\d+))?", entry)
    if found is None:
        return entry, ""
    return found[1] or found[3] or "", found[2] or found[4] or ""


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


class _AiohttpClient:
    """HTTP for proxies, and for requests of megabytes, which go out in chunks.

    Create it inside a running event loop and `close` it there. `tls` is the context for https; `proxy` may hold a user
    and a password, which `proxy_headers` send.
    """

    def __init__(
        self,
        connections: int,
        tls: ssl.SSLContext | None,
        proxy: URL | None,
        proxy_headers: Mapping[str, str],
        connect_timeout: float,
    ) -> None:
        import aiohttp

        self._proxy = proxy.with_user(None) if proxy else None
        self._proxy_headers = proxy_headers
        self._connect_timeout = connect_timeout
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=tls or True, keepalive_timeout=KEEPALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout),
            auto_decompress=False,
            max_field_size=MAX_HEAD_BYTES,
        )

    async def request(
        self,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | aiohttp.Payload | None,
        target: Path | None = None,
    ) -> Reply:
        """Post `body`, or get `url` if it is None. Raises `NoReplyError` if no complete reply came.

        What comes with a 2xx is written to `target`, if there is one, and the reply then has no body.
        """
        import aiohttp

        if self._proxy_headers and url.scheme != "https":  # there is no tunnel that takes them
            headers = {**headers, **self._proxy_headers}
        for _ in range(2):  # the event loop notices closed connections and drops them
            await asyncio.sleep(0)
        sent = False
        try:
            async with self._session.request(
                "GET" if body is None else "POST",
                url,
                data=io.BytesIO(body) if isinstance(body, bytes) and len(body) > MAX_UNCHUNKED_BYTES else body,
                headers={"Accept-Encoding": "gzip, deflate" if target is None else "identity", **headers},
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self._proxy_headers,
            ) as response:
                sent = True
                if target is not None and 200 <= response.status < 300:
                    await _save(response, target)
                    return Reply(response.status, CIMultiDict(), b"")
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
        import aiohttp

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
                return cut_body()
            case aiohttp.ClientResponseError():
                return not_http()
        return reset()


async def _read(response: aiohttp.ClientResponse, on_bytes: Callable[[], None] | None) -> bytes:
    length = response.content_length
    if length is not None and length <= MAX_REPLY_BYTES:
        return await response.read()
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        if on_bytes is not None:
            on_bytes()
        parts.append(part)
        size += len(part)
        if size > MAX_REPLY_BYTES:
            raise too_large()
    return b"".join(parts)


async def _save(response: aiohttp.ClientResponse, target: Path) -> None:
    """Write a body to a file, whatever its size; a server may compress it although nobody asked for that."""
    packed = response.headers.get("Content-Encoding", "identity").strip().lower() in ("gzip", "deflate")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if packed else None
    with target.open("wb") as file:
        async for part in response.content.iter_chunked(1 << 18):
            file.write(part if unpack is None else unpack.decompress(part))
        if unpack is not None and not unpack.eof:
            raise cut_body()


def _proxy_refusal(proxy: URL | None, status: int) -> str:
    where = f"{proxy.host}:{proxy.port}" if proxy else "it"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return f"{where} requires a user name and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    return f"{where} refuses to connect ({status})"
