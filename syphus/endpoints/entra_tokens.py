"""Entra ID tokens for Azure, which a command of the user prints, renewed before they expire.

`az account get-access-token --resource https://cognitiveservices.azure.com` prints JSON with `accessToken` and
`expires_on`. Any other command may print the bare token, which is then assumed to be valid for `DEFAULT_LIFETIME`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import shlex
import signal
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Callable

import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.connections import wait_awake
from syphus.errors import ConfigError
from syphus.text import one_line

DEFAULT_LIFETIME = 300.0  #: seconds
RENEWAL_MARGIN = 120.0  #: seconds before its expiry at which a token is renewed; at most half its lifetime
COMMAND_TIMEOUT = 60.0  #: seconds
OUTPUT_GRACE = 1.0  #: seconds to wait for output that is still on its way when a command has ended

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
_TOKEN_KEYS = ("accessToken", "access_token", "token")  # az, OAuth, azd


class _FailedError(ConfigError):
    """The command ended with an error. The network may be the reason, so it is retried."""


_ATTEMPTS = AsyncRetrying(retry=retry_if_exception_type(_FailedError), stop=stop_after_attempt(3), reraise=True)


class _CommandOutput(asyncio.SubprocessProtocol):
    """Collects what a command prints. `asyncio.subprocess.Process` would wait for all processes that hold it open."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.err = bytearray()
        self.exited = asyncio.Event()
        self._closed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Collect bytes of the output or the error output."""
        (self.out if fd == 1 else self.err).extend(data)

    def process_exited(self) -> None:
        """Note that the command itself has ended."""
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it
        """Note that it has ended and no process holds its output open any more."""
        self._closed.set()

    async def ended(self) -> None:
        """Return when the command has ended. Other processes that hold its output open get a moment to close it."""
        await self.exited.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), OUTPUT_GRACE)


class TokenSource:
    """Call and await it for a token. The command runs only if the last token has expired or was refused.

    `clock` is the wall clock, in seconds since the epoch. `timeout` limits one run of the command, and `first_wait` is
    the wait before the first retry; both are in seconds.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        redactor: SecretRedactor,
        clock: Callable[[], float] = time.time,
        timeout: float = COMMAND_TIMEOUT,
        first_wait: float = 0.5,
    ) -> None:
        self._command = command
        self._redactor = redactor
        self._clock = clock
        self._timeout = timeout
        self._attempts = _ATTEMPTS.copy(wait=wait_exponential(multiplier=first_wait, max=5))
        self._label = f"The token command {shlex.quote(command[0])}"  # its arguments may hold a secret
        self._token = ""
        self._renew_at = 0.0

    async def __call__(self) -> str:
        """Return a valid token. Raises `ConfigError` if the command prints none."""
        if not self.is_valid():
            async for attempt in self._attempts.copy():  # the instance holds the state of one call
                with attempt:
                    self._token, lifetime = self._read(await self._run_command())
            self._renew_at = self._clock() + lifetime - min(RENEWAL_MARGIN, lifetime / 2)
            self._redactor.keep(self._token)
        return self._token

    def is_valid(self) -> bool:
        """Return whether the last token can still be used."""
        return bool(self._token) and self._clock() < self._renew_at

    def discard(self) -> None:
        """Discard a token that was refused: the next request gets a new one."""
        self._token = ""

    async def _run_command(self) -> bytes:
        """Run the command and return what it prints."""
        start = asyncio.get_running_loop().subprocess_exec(
            _CommandOutput, *self._command, stdin=DEVNULL, start_new_session=True
        )
        starting = asyncio.ensure_future(start)
        try:
            # Shielded: a cancelled start leaves the process running, and may never return (CPython 3.11).
            transport, output = await asyncio.shield(starting)
            await wait_awake(output.ended(), self._timeout)
        except TimeoutError:
            raise ConfigError(f"{self._label} printed nothing for {self._timeout:g} s") from None
        except OSError as error:
            raise ConfigError(f"{self._label} can't be started: {error.strerror}") from error
        finally:
            await _terminate(starting)
        if code := transport.get_returncode():
            lines = self._redactor.scrub(output.err.decode("utf-8", "replace")).strip().splitlines()
            raise _FailedError(f"{self._label} failed ({code}): {one_line(lines[-1]) if lines else ''}")
        return bytes(output.out).strip()

    def _read(self, printed: bytes) -> tuple[str, float]:
        """Return the token and its lifetime in seconds. The output is never shown: it may be half a token."""
        token, lifetime = printed.decode("utf-8", "replace"), DEFAULT_LIFETIME
        if printed.startswith(b"{"):
            try:
                data = orjson.loads(printed)
            except orjson.JSONDecodeError:
                data = {}
            token = next((str(data[name]) for name in _TOKEN_KEYS if data.get(name)), "")
            lifetime = _lifetime(data.get("expires_on"), self._clock())
        if not _TOKEN.fullmatch(token):
            raise ConfigError(f"{self._label} printed no token")
        return token, lifetime


def _lifetime(expires_on: object, now: float) -> float:
    try:
        lifetime = float(str(expires_on)) - now
    except ValueError:
        return DEFAULT_LIFETIME
    return lifetime if lifetime > 0 and math.isfinite(lifetime) else DEFAULT_LIFETIME  # our clock may be wrong


async def _terminate(starting: asyncio.Future[tuple[asyncio.SubprocessTransport, _CommandOutput]]) -> None:
    """Kill the command and the processes of its session, without waiting for those that have left the session."""
    await asyncio.wait([starting])
    if starting.exception():
        return
    transport, output = starting.result()
    if transport.get_returncode() is None:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            else:
                transport.kill()
        await output.exited.wait()
    transport.close()


def token_source(config: EndpointConfig, redactor: SecretRedactor) -> TokenSource | None:
    """Return the source of this endpoint's Entra tokens, or None if it has a key or a fixed token."""
    return TokenSource(config.token_command, redactor) if config.token_command else None
