"""Chat completions at OpenAI, Azure OpenAI and every compatible server.

The official SDK knows how each provider wants to be addressed and signed: base URL, deployment path and API version,
key header or Entra token, organization and project. It prepares a request once; the thousands that follow differ in
nothing but their body, so they go out as the prepared one did, straight over the transport. That saves two thirds of a
call's CPU time (docs/design.md). Whatever can expire is prepared anew after `FRESH` seconds, and after a 401.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple
from urllib.parse import quote

import httpx2
import openai
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import SecretStr
from yarl import URL

from syphus.config import EndpointConfig
from syphus.endpoints.tokens import TokenSource, token_source
from syphus.endpoints.transport import Reply, Transport
from syphus.secrets import Vault

FRESH = 60.0  #: seconds that a prepared request with an Entra token is used; the token's source keeps the token itself
_ROUTE = "/chat/completions"
_PER_BODY = {"content-length", "host", "connection", "transfer-encoding"}  # the transport sets these for each body


class Prepared(NamedTuple):
    """How a request to this endpoint goes out: everything but its body."""

    url: URL
    headers: CIMultiDictProxy[str]
    made: float


class _Wire(httpx2.AsyncClient):
    """What the SDK sends through: notes how it addressed and signed the request, and passes it on to our transport."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport=httpx2.MockTransport(_never))
        self._wire = transport
        self.prepared: Prepared | None = None

    async def send(self, request: httpx2.Request, **_: object) -> httpx2.Response:
        # the signature is narrower: streams, auth hooks and redirects are not for this client
        headers = CIMultiDict((k, v) for k, v in request.headers.multi_items() if k.lower() not in _PER_BODY)
        prepared = Prepared(URL(str(request.url), encoded=True), CIMultiDictProxy(headers), time.monotonic())
        reply = await self._wire.post(prepared.url, prepared.headers, request.content)
        self.prepared = prepared
        return httpx2.Response(reply.status, headers=list(reply.headers.items()), content=reply.body, request=request)


def _never(request: httpx2.Request) -> httpx2.Response:
    raise AssertionError(f"the SDK went past the transport to {request.url}")


class ChatEndpoint:
    """One chat endpoint. Make it inside a running event loop and `close` it there."""

    def __init__(self, config: EndpointConfig, connections: int, vault: Vault) -> None:
        self.config = config
        self.host = config.host
        self._vault = vault
        self._transport = Transport(config.base_url, connections, config.verify_tls)
        self._wire = _Wire(self._transport)
        self._tokens = token_source(config, vault)
        self._client = _sdk_client(config, self._wire, self._tokens, vault)
        self._preparing = asyncio.Lock()

    async def send(self, body: bytes) -> Reply:
        """Posts one chat request, JSON in UTF-8, and returns the reply, whatever its status, with no secret in it.

        Raises `NoReplyError` where none came. It waits for ever: the deadline is the caller's.
        """
        prepared = self._wire.prepared
        if prepared is None or (self._tokens and time.monotonic() - prepared.made > FRESH):
            reply = await self._send_prepared_anew(body, prepared)
        else:
            reply = await self._transport.post(prepared.url, prepared.headers, body)
        scrub = self._vault.scrub_answer if reply.status == 200 else self._vault.scrub_error
        return reply._replace(body=scrub(reply.body))

    def renew(self) -> bool:
        """Forgets how requests were signed; False where signing anew would give the same (a fixed key)."""
        self._wire.prepared = None
        if self._tokens:
            self._tokens.forget()
        return self._tokens is not None

    async def close(self) -> None:
        """Closes every connection."""
        await self._transport.close()

    async def _send_prepared_anew(self, body: bytes, stale: Prepared | None) -> Reply:
        async with self._preparing:
            current = self._wire.prepared
            if current is not None and current is not stale:  # somebody else was faster
                return await self._transport.post(current.url, current.headers, body)
            try:
                response = await self._client.post(
                    _ROUTE,
                    cast_to=httpx2.Response,
                    content=body,
                    options={"headers": {"Content-Type": "application/json"}},
                )
            except openai.APIStatusError as error:
                response = error.response
        return Reply(response.status_code, CIMultiDictProxy(CIMultiDict(response.headers.items())), response.content)


def _sdk_client(config: EndpointConfig, wire: _Wire, tokens: TokenSource | None, vault: Vault) -> openai.AsyncOpenAI:
    """The official client for this endpoint. `max_retries=0`: the only retry loop is ours, so every call is counted."""
    key, token = _revealed(config.api_key, vault), _revealed(config.token, vault)
    if config.kind == "azure":
        return openai.AsyncAzureOpenAI(
            azure_endpoint=config.base_url,
            azure_deployment=quote(config.deployment, safe=""),
            api_version=config.api_version,
            api_key=key,
            azure_ad_token=token,
            azure_ad_token_provider=tokens,
            max_retries=0,
            http_client=wire,
        )
    return openai.AsyncOpenAI(
        base_url=config.base_url,
        api_key=key or token or tokens,
        organization=config.organization or None,
        project=config.project or None,
        max_retries=0,
        http_client=wire,
    )


def _revealed(secret: SecretStr | None, vault: Vault) -> str | None:
    if secret is None:
        return None
    vault.keep(secret.get_secret_value())
    return secret.get_secret_value()
