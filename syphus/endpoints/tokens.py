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
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable

import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from syphus.config import EndpointConfig
from syphus.errors import ConfigError
from syphus.secrets import Vault
from syphus.text import one_line

UNKNOWN_LIFE = 300.0  #: seconds
MARGIN = 120.0  #: seconds before its end at which a token is renewed; of a short life, half
COMMAND_TIMEOUT = 60.0  #: seconds

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1
_NAMES = ("accessToken", "access_token", "token")  # az, OAuth, azd


class _FailedError(ConfigError):
    """The command ended with an error; it may be the network's, so it is worth another try."""


_ATTEMPTS = AsyncRetrying(retry=retry_if_exception_type(_FailedError), stop=stop_after_attempt(3), reraise=True)


class TokenSource:
    """Awaited for a token; asks the command only where the last token has run out or was refused.

    `clock` is the wall clock, in seconds since the epoch; `timeout` and `first_wait`, before a second try, are seconds.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        vault: Vault,
        clock: Callable[[], float] = time.time,
        timeout: float = COMMAND_TIMEOUT,
        first_wait: float = 0.5,
    ) -> None:
        self._command = command
        self._vault = vault
        self._clock = clock
        self._timeout = timeout
        self._attempts = _ATTEMPTS.copy(wait=wait_exponential(multiplier=first_wait, max=5))
        self._shown = f"The token command {shlex.quote(command[0])}"  # its arguments may hold a secret
        self._token = ""
        self._good_until = 0.0

    async def __call__(self) -> str:
        """A token that still holds; raises `ConfigError` where the command gives none."""
        if not self.holds():
            async for attempt in self._attempts.copy():  # its state lives on the instance
                with attempt:
                    self._token, life = self._read(await self._ask())
            self._good_until = self._clock() + life - min(MARGIN, life / 2)
            self._vault.keep(self._token)
        return self._token

    def holds(self) -> bool:
        """Whether the last token can still be used."""
        return bool(self._token) and self._clock() < self._good_until

    def forget(self) -> None:
        """The token was refused: the next request gets a new one."""
        self._token = ""

    async def _ask(self) -> bytes:
        """What the command prints."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
            )
        except OSError as error:
            raise ConfigError(f"{self._shown} can't be started: {error.strerror}") from error
        try:
            out, err = await asyncio.wait_for(process.communicate(), self._timeout)
        except TimeoutError:
            raise ConfigError(f"{self._shown} gave nothing for {self._timeout:g} s") from None
        finally:
            await _end(process)
        if process.returncode:
            said = self._vault.scrub(err.decode("utf-8", "replace")).strip().splitlines()
            raise _FailedError(f"{self._shown} failed ({process.returncode}): {one_line(said[-1]) if said else ''}")
        return out.strip()

    def _read(self, printed: bytes) -> tuple[str, float]:
        """The token, and the seconds that it will hold. What was printed is never shown: it may be half a token."""
        token, life = printed.decode("utf-8", "replace"), UNKNOWN_LIFE
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
        return UNKNOWN_LIFE
    return life if life > 0 and math.isfinite(life) else UNKNOWN_LIFE  # our clock may be wrong: the server will say


async def _end(process: Process) -> None:
    """Ends the command, and what it has started itself, which would hold its output open."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        await process.wait()


def token_source(config: EndpointConfig, vault: Vault) -> TokenSource | None:
    """Where this endpoint's Entra tokens come from, or None where it is entered with a key or a fixed token."""
    return TokenSource(config.token_command, vault) if config.token_command else None
