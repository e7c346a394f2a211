"""The way of a run to a gate behind an address: one POST for each message."""

from __future__ import annotations

import asyncio
import os

import aiohttp
import orjson

from syphus.cluster.messages import SECRET, GateGoneError, Lease, LeaseRequest, MessageError, protocol_problem
from syphus.errors import ConfigError
from syphus.text import one_line

PATH = "/v1/lease"  #: of the messages
UNAVAILABLE = 503  #: the status of a gate that can't do its work for now; the text says why
_SECONDS = 3.0  #: for one message


class HttpGate:
    """A gate at `address`, such as http://gate.example.org:8790. Open, use and close it in one event loop."""

    def __init__(self, address: str, secret: str) -> None:
        self.name = address
        self._secret = secret
        self._session: aiohttp.ClientSession | None = None

    async def reach(self) -> None:
        """Ask for its version. Raises `ConfigError` if no gate answers there, or another version."""
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._secret}"}, timeout=aiohttp.ClientTimeout(total=_SECONDS)
        )
        try:
            await self._call("GET", None)
        except GateGoneError as error:
            raise ConfigError(
                f"--share {self.name}: no gate answers there ({error}). Start one with `syphus gate --listen`."
            ) from error

    async def exchange(self, request: LeaseRequest) -> Lease:
        """Send a message and return the reply. Raises `GateGoneError`, and `ConfigError` if it is refused."""
        return await self._call("POST", orjson.dumps(request.as_json()))

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()

    async def _call(self, method: str, body: bytes | None) -> Lease:
        session = self._session
        assert session is not None, "it is open"
        try:
            async with session.request(method, self.name + PATH, data=body, allow_redirects=False) as reply:
                status, text = reply.status, await reply.read()
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            raise GateGoneError(_reason(error)) from error
        except ValueError as error:  # of an address
            raise ConfigError(f"--share {self.name}: it is not the address of a gate ({error}).") from error
        if status == 401:
            raise ConfigError(
                f"--share {self.name}: the gate refuses the secret in {SECRET}. Set the one that the gate has printed."
            )
        if status >= 500:
            said = one_line(text.decode("utf-8", "replace").rstrip("."), 200) if status == UNAVAILABLE else ""
            raise GateGoneError(f"it replies {status}{said and ': '}{said}")
        try:
            values = orjson.loads(text)
            if status != 200 or "protocol" not in values:
                raise MessageError
            if problem := protocol_problem(values["protocol"], "the gate"):
                raise ConfigError(f"--share {self.name}: {problem}")
            return Lease.from_json(values)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"--share {self.name}: the server there is not a gate (it replies {status}). Check the address."
            ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no reply within {_SECONDS:g} s"
    cause = getattr(error, "os_error", None) or error
    number = getattr(cause, "errno", None) or 0  # that of a failed look-up is negative
    return os.strerror(number) if number > 0 else getattr(cause, "strerror", None) or str(cause) or type(error).__name__
