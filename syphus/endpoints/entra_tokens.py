"""Entra tokens for Azure that a command prints, renewed before they expire.

`az account get-access-token --resource https://cognitiveservices.azure.com` prints JSON with `accessToken` and
`expires_on`; any other command may print the bare token, which is then taken to hold for `UNKNOWN_LIFE` seconds.
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

from syphus.config.secrets import SecretRedactor
from syphus.config.settings import EndpointConfig
from syphus.errors import ConfigError
from syphus.text import one_line

DEFAULT_LIFETIME = 300.0  #: seconds
RENEWAL_MARGIN = 120.0  #: seconds before its end at which a token is renewed; of a short life, half
COMMAND_TIMEOUT = 60.0  #: seconds
LAST_WORDS = 1.0  #: seconds for output that is still on its way when a command has ended

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
_NAMES = ("accessToken", "access_token", "token")  # az, OAuth, azd


class _FailedError(ConfigError):
    """The command ended with an error; it may be the network's, so it is worth another try."""


_ATTEMPTS = AsyncRetrying(retry=retry_if_exception_type(_FailedError), stop=stop_after_attempt(3), reraise=True)


class _Printed(asyncio.SubprocessProtocol):
    """Gathers what a command prints. `asyncio.subprocess.Process` would wait for all who hold its output open."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.err = bytearray()
        self.exited = asyncio.Event()
        self._closed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Bytes of its output or error output."""
        (self.out if fd == 1 else self.err).extend(data)

    def process_exited(self) -> None:
        """The command itself has ended."""
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio passes it)
        """It has ended, and nobody holds its output open any more."""
        self._closed.set()

    async def ended(self) -> None:
        """Returns when the command has ended; who holds its output open still gets a moment to close it."""
        await self.exited.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), LAST_WORDS)


class TokenSource:
    """Awaited for a token; asks the command only where the last token has run out or was refused.

    `clock` is the wall clock, in seconds since the epoch; `timeout` and `first_wait`, before a second try, are seconds.
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
        self._shown = f"The token command {shlex.quote(command[0])}"  # its arguments may hold a secret
        self._token = ""
        self._good_until = 0.0

    async def __call__(self) -> str:
        """A token that still holds; raises `ConfigError` where the command gives none."""
        if not self.is_valid():
            async for attempt in self._attempts.copy():  # its state lives on the instance
                with attempt:
                    self._token, life = self._read(await self._ask())
            self._good_until = self._clock() + life - min(RENEWAL_MARGIN, life / 2)
            self._redactor.keep(self._token)
        return self._token

    def is_valid(self) -> bool:
        """Whether the last token can still be used."""
        return bool(self._token) and self._clock() < self._good_until

    def discard(self) -> None:
        """The token was refused: the next request gets a new one."""
        self._token = ""

    async def _ask(self) -> bytes:
        """What the command prints."""
        start = asyncio.get_running_loop().subprocess_exec(
            _Printed, *self._command, stdin=DEVNULL, start_new_session=True
        )
        starting = asyncio.ensure_future(start)
        try:
            # Shielded: a start cancelled half way leaves what it has started, and may never return (CPython 3.11).
            transport, printed = await asyncio.shield(starting)
            await asyncio.wait_for(printed.ended(), self._timeout)
        except TimeoutError:
            raise ConfigError(f"{self._shown} gave nothing for {self._timeout:g} s") from None
        except OSError as error:
            raise ConfigError(f"{self._shown} can't be started: {error.strerror}") from error
        finally:
            await _end(starting)
        if code := transport.get_returncode():
            said = self._redactor.scrub(printed.err.decode("utf-8", "replace")).strip().splitlines()
            raise _FailedError(f"{self._shown} failed ({code}): {one_line(said[-1]) if said else ''}")
        return bytes(printed.out).strip()

    def _read(self, printed: bytes) -> tuple[str, float]:
        """The token, and the seconds that it will hold. What was printed is never shown: it may be half a token."""
        token, life = printed.decode("utf-8", "replace"), DEFAULT_LIFETIME
        if printed.startswith(b"{"):
            try:
                data = orjson.loads(printed)
            except orjson.JSONDecodeError:
                data = {}
            token = next((str(data[name]) for name in _NAMES if data.get(name)), "")
            life = _life(data.get("expires_on"), self._clock())
        if not _TOKEN.fullmatch(token):
            raise ConfigError(f"{self._shown} printed no token")
        return token, life


def _life(expires_on: object, now: float) -> float:
    try:
        life = float(str(expires_on)) - now
    except ValueError:
        return DEFAULT_LIFETIME
    return life if life > 0 and math.isfinite(life) else DEFAULT_LIFETIME  # our clock may be wrong: the server will say


async def _end(starting: asyncio.Future[tuple[asyncio.SubprocessTransport, _Printed]]) -> None:
    """Ends the command, and what it has started itself; does not wait for what has left its session."""
    await asyncio.wait([starting])
    if starting.exception():
        return
    transport, printed = starting.result()
    if transport.get_returncode() is None:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            else:
                transport.kill()
        await printed.exited.wait()
    transport.close()


def token_source(config: EndpointConfig, redactor: SecretRedactor) -> TokenSource | None:
    """Where this endpoint's Entra tokens come from, or None where it is entered with a key or a fixed token."""
    return TokenSource(config.token_command, redactor) if config.token_command else None
