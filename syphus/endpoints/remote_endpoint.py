"""An endpoint at OpenAI, Azure OpenAI or any compatible server.

The official SDK knows how each provider's requests are addressed and signed: base URL, deployment path and API version,
key header or Entra token, organization and project. It prepares one request, and another whenever a token has to be
renewed. The thousands of requests that are sent differ only in their body and go directly to the transport. That saves
two thirds of a request's CPU time (docs/design.md).

Since the SDK sends nothing itself, nothing was sent or billed when it raises: either the settings are wrong, or the
service that signs requests could not be reached.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import httpx2
import openai
import orjson
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretStr
from yarl import URL

from syphus.config.endpoint_settings import ENDPOINT_KINDS, Credentials, EndpointConfig
from syphus.config.secrets import SecretRedactor
from syphus.config.values import other_addresses
from syphus.endpoints.classify import ReplyVerdict
from syphus.endpoints.connections import NoReplyError, NoReplyKind, Reply
from syphus.endpoints.entra_tokens import TokenSource, token_source
from syphus.endpoints.reply_body import plain_json
from syphus.endpoints.routes import CHAT_ROUTE, ApiRoute
from syphus.endpoints.transport import Transport
from syphus.errors import AddressError, ConfigError
from syphus.exchange import Request
from syphus.text import one_line, strip_images

if TYPE_CHECKING:
    import aiohttp

_SDK_ERRORS = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    ValueError,  # of arguments, such as characters that a header can't hold
    TypeError,
)


@contextmanager
def translate_sdk_errors(host: str, redactor: SecretRedactor) -> Iterator[None]:
    """Raise what the SDK raises in the block as `ConfigError` or `NoReplyError`, without secrets."""
    try:
        yield
    except _SDK_ERRORS as error:
        raise translate_sdk_error(error, host, redactor) from error


def translate_sdk_error(error: Exception, host: str, redactor: SecretRedactor) -> ConfigError | NoReplyError:
    """Return what an exception of the SDK means for the endpoint `host`."""
    reason = one_line(redactor.scrub(str(error))) or type(error).__name__
    match error:
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return NoReplyError(NoReplyKind.TIMEOUT, f"signing the request: {reason}")
        case openai.APIConnectionError() | httpx2.HTTPError():
            return NoReplyError(NoReplyKind.RESET, f"signing the request: {reason}")
        case openai.APIStatusError():
            return ConfigError(f"Signing a request to {host} was refused ({error.status_code}): {reason}")
    return ConfigError(f"A request to {host} can't be prepared: {reason}")


_TRANSPORT_HEADERS = {"content-length", "host", "connection", "transfer-encoding", "accept-encoding"}  # set there


_LOOKED_AT = 100  # bytes of a body
_PROBE_TIMEOUT = 5.0  # seconds


class PreparedRequest(NamedTuple):
    """A request to this endpoint without its body."""

    url: URL
    headers: CIMultiDictProxy[str]


class RemoteEndpoint:
    """One route of one endpoint. Create it inside a running event loop and `close` it there.

    `transport` is one that sends otherwise than from this process; the endpoint closes it. Raises `ConfigError` for
    settings that the SDK or the transport can't use.
    """

    def __init__(
        self,
        config: EndpointConfig,
        connections: int,
        redactor: SecretRedactor,
        route: ApiRoute = CHAT_ROUTE,
        transport: Transport | None = None,
    ) -> None:
        self.config = config
        self._route = route
        self.host = config.host
        self._is_regional = config.is_regional
        self._redactor = redactor
        self._tokens = token_source(config, redactor)
        capturing_client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._capture), trust_env=False)
        with translate_sdk_errors(self.host, redactor):
            self._client = _sdk_client(config, capturing_client, self._tokens, redactor)
        self._transport = transport or Transport(config.base_url, connections, redactor, config.verify_tls)
        self._prepared: PreparedRequest | None = None
        self._refused: PreparedRequest | None = None
        self._fault: ConfigError | None = None
        self._preparing = asyncio.Lock()
        self._is_address_known = ENDPOINT_KINDS[config.kind].deployments

    async def send(self, body: bytes) -> Reply:
        """Post one request, JSON in UTF-8; return the reply, whatever its status, without secrets.

        Raises `NoReplyError` if none came, and `ConfigError` if the request can't be signed. There is no timeout: that
        is up to the caller.
        """
        return await self._receive(lambda url, headers: self._transport.post(url, headers, body))

    async def _receive(self, post: Callable[[URL, Mapping[str, str]], Awaitable[Reply]]) -> Reply:
        """Return the reply that `post` gets from this address with these headers, without secrets."""
        prepared = self._prepared
        if prepared is None or not self._is_signed():
            prepared = await self._prepare()
        reply = await post(prepared.url, prepared.headers)
        if not self._is_address_known:
            await self._check_address(reply)
        if 200 <= reply.status < 300:
            return reply._replace(body=self._redactor.scrub_answer(plain_json(reply.body, reply.headers)))
        if reply.status in (401, 403):
            self._refused = prepared
        headers = CIMultiDict((name, self._redactor.scrub(value)) for name, value in reply.headers.items())
        with suppress(NoReplyError):  # of an event stream without an error in it
            reply = reply._replace(body=plain_json(reply.body, reply.headers))
        return Reply(reply.status, headers, self._redactor.scrub_error(strip_images(reply.body)))

    async def _check_address(self, reply: Reply) -> None:
        """Raise `AddressError` if the first reply comes from a wrong address, and the API is at another one there."""
        start = reply.body[:_LOOKED_AT].lstrip()
        is_odd = 200 <= reply.status < 300 and (start[:1] == b"<" or b'"error"' in start[:20])  # LM Studio
        if reply.status in (404, 405) or is_odd:
            self._is_address_known = True  # or it is nowhere
            if not await self._has_models(self.config.base_url, refused_counts=False):
                for address in other_addresses(self.config.base_url):
                    if await self._has_models(address, refused_counts=True):
                        raise AddressError(f"{self.host} has its API at {address}. Write that as the base URL.")
        elif 200 <= reply.status < 300:
            self._is_address_known = True

    async def _has_models(self, base_url: str, refused_counts: bool) -> bool:
        """Return whether the list of models is at an address, or perhaps one that is refused."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                reply = await self.list_models(base_url)
            data = orjson.loads(reply.body)
        except (NoReplyError, TimeoutError, orjson.JSONDecodeError):
            return False
        is_refused = reply.status in (401, 403) and refused_counts
        return isinstance(data, dict) and (is_refused or (reply.status == 200 and isinstance(data.get("data"), list)))

    async def list_models(self, base_url: str = "") -> Reply:
        """Return the reply to a request for the list of models. Raises what `send` raises."""
        prepared = await self._prepare()
        url = URL(f"{(base_url or self.config.base_url).rstrip('/')}/models")
        reply = await self._transport.get(url, prepared.headers)
        return reply._replace(body=self._redactor.scrub_answer(plain_json(reply.body, reply.headers)))

    async def exchange(
        self,
        path: str,
        body: bytes | aiohttp.Payload | None = None,
        *,
        query: Mapping[str, str] = MappingProxyType({}),
        target: Path | None = None,
    ) -> Reply:
        """Post JSON or a form to another route of this endpoint, or get it; return the reply, without secrets.

        `path` begins with "/". What comes with a 2xx is written to `target` as it is, if there is one. Raises what
        `send` raises; nothing is ever sent twice.
        """
        prepared = await self._prepare()
        url, headers = prepared.url, CIMultiDict(prepared.headers)
        root = url.raw_path.removesuffix(self._route.path).partition("/deployments/")[0]
        url = url.with_path(root + path, encoded=True, keep_query=True).update_query(query)
        if not isinstance(body, bytes):
            headers.popall("Content-Type", None)
        reply = await self._transport.exchange(url, headers, body, target)
        if 200 <= reply.status < 300:
            return reply._replace(body=self._redactor.scrub_answer(reply.body))
        with suppress(NoReplyError):
            reply = reply._replace(body=plain_json(reply.body, reply.headers))
        return reply._replace(body=self._redactor.scrub_error(reply.body))

    def classify(self, body: bytes, request: Request, headers: Mapping[str, str]) -> ReplyVerdict:
        """Return what the body of a 2xx reply to a request means."""
        verdict = self._route.classify(body, request, headers)
        if self._is_regional and verdict.completion is not None:
            return replace(verdict, completion=replace(verdict.completion, regional=True))
        return verdict

    def renew_token(self) -> bool:
        """Sign the next request with a new token; return False if the key is fixed.

        If many requests are refused at once, only the first one renews the token.
        """
        if self._tokens and self._refused is self._prepared:
            self._tokens.discard()
        return self._tokens is not None

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        await self._transport.close()

    def _is_signed(self) -> bool:
        return self._tokens is None or self._tokens.is_valid()

    async def _prepare(self) -> PreparedRequest:
        """Prepare a request unless another task has just done so. After a failure nobody tries again."""
        async with self._preparing:
            if self._fault is not None:
                raise self._fault
            if self._prepared is None or not self._is_signed():
                try:
                    await self._prepare_with_sdk()
                except ConfigError as error:
                    self._fault = error
                    raise
            assert self._prepared is not None
            return self._prepared

    async def _prepare_with_sdk(self) -> None:
        headers = {"Content-Type": "application/json"}
        with translate_sdk_errors(self.host, self._redactor):
            await self._client.post(
                self._route.path, cast_to=httpx2.Response, content=b"{}", options={"headers": headers}
            )

    def _capture(self, request: httpx2.Request) -> httpx2.Response:
        """Keep the request that the SDK believes it is sending."""
        headers = CIMultiDict((k, v) for k, v in request.headers.multi_items() if k.lower() not in _TRANSPORT_HEADERS)
        if self.config.headers and not self.config.has_credentials:
            for name in ("Authorization", "api-key"):  # NO_KEY, which a gateway could take for one
                headers.popall(name, None)
        for name, value in self.config.headers.items():
            headers[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
        self._prepared = PreparedRequest(URL(str(request.url), encoded=True), CIMultiDictProxy(headers))
        return httpx2.Response(200)


def _sdk_client(
    config: EndpointConfig, client: httpx2.AsyncClient, tokens: TokenSource | None, redactor: SecretRedactor
) -> openai.AsyncOpenAI:
    """Return the official client for this endpoint. It takes nothing from the environment, only from `config`."""
    for secret in config.secrets:
        redactor.keep(secret)
    credentials = Credentials(_secret_value(config.api_key, redactor), _secret_value(config.token, redactor), tokens)
    sdk = ENDPOINT_KINDS[config.kind].client(config, credentials, client)
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").splitlines()
    taken = {line.partition(":")[0].strip() for line in lines}  # `config` has them, and knows that they are secrets
    sdk._custom_headers = {name: value for name, value in sdk._custom_headers.items() if name not in taken}
    sdk.organization, sdk.project = config.organization or None, config.project or None
    return sdk


def _secret_value(secret: SecretStr | None, redactor: SecretRedactor) -> str | None:
    if secret is None:
        return None
    redactor.keep(secret.get_secret_value())
    return secret.get_secret_value()
