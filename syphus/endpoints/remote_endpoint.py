"""An endpoint at OpenAI, Azure OpenAI or any compatible server: chat completions, or another of its services.

The official SDK knows how each provider wants to be addressed and signed: base URL, deployment path and API version,
key header or Entra token, organization and project. It prepares a request once, and again whenever a token has to be
renewed; the thousands that go out differ in nothing but their body, and go straight over the transport. That saves two
thirds of a call's CPU time (docs/design.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import quote

import httpx2
import openai
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretStr
from yarl import URL

from syphus.config.secrets import SecretRedactor
from syphus.config.settings import EndpointConfig
from syphus.endpoints.classify import ReplyVerdict
from syphus.endpoints.entra_tokens import TokenSource, token_source
from syphus.endpoints.routes import CHAT_ROUTE, ApiRoute
from syphus.endpoints.transport import NoReplyError, NoReplyKind, Reply, Transport
from syphus.errors import ConfigError
from syphus.text import one_line, strip_images
from syphus.types import Request

# FOLDED from sdk_errors.py:
# What the official SDK raises, in our terms.
#
# The SDK prepares requests and sends none (`remote.py`), so nothing has gone out and nothing was billed when it fails:
# the settings are wrong, or whoever signs the requests could not be reached.

_RAISED = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    ValueError,  # arguments, among them characters that can't stand in a header
    TypeError,
)


@contextmanager
def translate_sdk_errors(host: str, redactor: SecretRedactor) -> Iterator[None]:
    """Around every use of the SDK: raises `ConfigError` or `NoReplyError` for whatever it raises, without secrets."""
    try:
        yield
    except _RAISED as error:
        raise translate_sdk_error(error, host, redactor) from error


def translate_sdk_error(error: Exception, host: str, redactor: SecretRedactor) -> ConfigError | NoReplyError:
    """What an exception of the SDK means for the endpoint `host`."""
    said = one_line(redactor.scrub(str(error))) or type(error).__name__
    match error:
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return NoReplyError(NoReplyKind.TIMEOUT, f"signing the request: {said}")
        case openai.APIConnectionError() | httpx2.HTTPError():
            return NoReplyError(NoReplyKind.RESET, f"signing the request: {said}")
        case openai.APIStatusError():
            return ConfigError(f"Signing a request to {host} was refused ({error.status_code}): {said}")
    return ConfigError(f"A request to {host} can't be prepared: {said}")


_NO_KEY = "none"  # a server of one's own often wants no key, but the SDK would then take one from the environment
_OF_THE_TRANSPORT = {"content-length", "host", "connection", "transfer-encoding", "accept-encoding"}  # it sets these


class PreparedRequest(NamedTuple):
    """How a request to this endpoint goes out: everything but its body."""

    url: URL
    headers: CIMultiDictProxy[str]


class RemoteEndpoint:
    """One endpoint, for one of its services. Make it inside a running event loop and `close` it there.

    Raises `ConfigError` for settings that the SDK or the transport can't work with.
    """

    def __init__(
        self, config: EndpointConfig, connections: int, redactor: SecretRedactor, route: ApiRoute = CHAT_ROUTE
    ) -> None:
        self.config = config
        self._service = route
        self.host = config.host
        self._redactor = redactor
        self._tokens = token_source(config, redactor)
        pretended = httpx2.AsyncClient(transport=httpx2.MockTransport(self._note), trust_env=False)
        with translate_sdk_errors(self.host, redactor):
            self._client = _sdk_client(config, pretended, self._tokens, redactor)
        self._transport = Transport(config.base_url, connections, redactor, config.verify_tls)
        self._prepared: PreparedRequest | None = None
        self._refused: PreparedRequest | None = None
        self._fault: ConfigError | None = None
        self._preparing = asyncio.Lock()

    async def send(self, body: bytes) -> Reply:
        """Posts one request, JSON in UTF-8, and returns the reply, whatever its status, with no secret in it.

        Raises `NoReplyError` where none came, and `ConfigError` where the request can't be signed. It waits for ever:
        the deadline is the caller's.
        """
        prepared = self._prepared
        if prepared is None or not self._holds():
            prepared = await self._prepare()
        reply = await self._transport.post(prepared.url, prepared.headers, body)
        if 200 <= reply.status < 300:
            return reply._replace(body=self._redactor.scrub_answer(reply.body))
        if reply.status in (401, 403):
            self._refused = prepared
        headers = CIMultiDict((name, self._redactor.scrub(value)) for name, value in reply.headers.items())
        return Reply(reply.status, headers, self._redactor.scrub_error(strip_images(reply.body)))

    def classify(self, body: bytes, request: Request, headers: Mapping[str, str]) -> ReplyVerdict:
        """What the body of a good reply to a request is worth."""
        return self._service.classify(body, request, headers)

    def renew_token(self) -> bool:
        """Has the next request signed anew; False where that would give the same (a fixed key).

        Of many requests that are refused at once, only the first renews the token.
        """
        if self._tokens and self._refused is self._prepared:
            self._tokens.discard()
        return self._tokens is not None

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.close()
        await self._transport.close()

    def _holds(self) -> bool:
        return self._tokens is None or self._tokens.is_valid()

    async def _prepare(self) -> PreparedRequest:
        """Signs a request anew, unless somebody else was faster; after a failure nobody tries again."""
        async with self._preparing:
            if self._fault is not None:
                raise self._fault
            if self._prepared is None or not self._holds():
                try:
                    await self._have_it_prepared()
                except ConfigError as error:
                    self._fault = error
                    raise
            assert self._prepared is not None
            return self._prepared

    async def _have_it_prepared(self) -> None:
        headers = {"Content-Type": "application/json"}
        with translate_sdk_errors(self.host, self._redactor):
            await self._client.post(
                self._service.path, cast_to=httpx2.Response, content=b"{}", options={"headers": headers}
            )

    def _note(self, request: httpx2.Request) -> httpx2.Response:
        """Where the SDK believes that it sends to."""
        headers = CIMultiDict((k, v) for k, v in request.headers.multi_items() if k.lower() not in _OF_THE_TRANSPORT)
        self._prepared = PreparedRequest(URL(str(request.url), encoded=True), CIMultiDictProxy(headers))
        return httpx2.Response(200)


def _sdk_client(
    config: EndpointConfig, client: httpx2.AsyncClient, tokens: TokenSource | None, redactor: SecretRedactor
) -> openai.AsyncOpenAI:
    """The official client for this endpoint, which takes nothing from the environment that the config does not say."""
    key, token = _revealed(config.api_key, redactor), _revealed(config.token, redactor)
    sdk: openai.AsyncOpenAI
    if config.kind == "azure":
        sdk = openai.AsyncAzureOpenAI(
            azure_endpoint=config.base_url,
            azure_deployment=quote(config.deployment, safe=""),
            api_version=config.api_version,
            api_key=key,
            azure_ad_token=token,
            azure_ad_token_provider=tokens,
            max_retries=0,
            http_client=client,
        )
    else:
        sdk = openai.AsyncOpenAI(
            base_url=config.base_url, api_key=key or token or tokens or _NO_KEY, max_retries=0, http_client=client
        )
    sdk.organization, sdk.project = config.organization or None, config.project or None
    return sdk


def _revealed(secret: SecretStr | None, redactor: SecretRedactor) -> str | None:
    if secret is None:
        return None
    redactor.keep(secret.get_secret_value())
    return secret.get_secret_value()
