"""Entra tokens for Azure: a fixed one, or one that a command prints and that is renewed before it expires.

`az account get-access-token --resource https://cognitiveservices.azure.com` prints JSON with `accessToken` and
`expires_on`; any other command may print the bare token, which is then taken to hold for `UNKNOWN_LIFE` seconds.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable

import orjson
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from syphus.config import EndpointConfig
from syphus.errors import ConfigError
from syphus.secrets import Vault

UNKNOWN_LIFE = 300.0  #: seconds
MARGIN = 120.0  #: seconds before its end at which a token is renewed
COMMAND_TIMEOUT = 60.0  #: seconds

_ATTEMPTS = AsyncRetrying(  # a login helper fails now and then, for reasons of its own network
    retry=retry_if_exception_type(ConfigError),
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=0.5, max=5),
    reraise=True,
)


class TokenSource:
    """Awaited for a token; asks the command only where the last token has run out or was refused."""

    def __init__(self, command: tuple[str, ...], vault: Vault, clock: Callable[[], float] = time.time) -> None:
        self._command = command
        self._vault = vault
        self._clock = clock
        self._token = ""
        self._good_until = 0.0

    async def __call__(self) -> str:
        """A token that still holds; raises `ConfigError` where the command gives none."""
        if not self._token or self._clock() >= self._good_until:
            async for attempt in _ATTEMPTS.copy():  # its state lives on the instance
                with attempt:
                    self._token, self._good_until = await self._ask()
            self._vault.keep(self._token)
        return self._token

    def forget(self) -> None:
        """The token was refused: the next request gets a new one."""
        self._token = ""

    async def _ask(self) -> tuple[str, float]:
        shown = shlex.join(self._command)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        except OSError as error:
            raise ConfigError(f"The token command can't be started: {shown}: {error.strerror}") from error
        try:
            out, err = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT)
        except TimeoutError:
            process.kill()
            raise ConfigError(f"The token command gave nothing for {COMMAND_TIMEOUT:.0f} s: {shown}") from None
        if process.returncode:
            said = err.decode("utf-8", "replace").strip().splitlines()
            raise ConfigError(f"The token command failed ({process.returncode}): {shown}: {said[-1] if said else ''}")
        return self._read(out.strip(), shown)

    def _read(self, printed: bytes, shown: str) -> tuple[str, float]:
        token, until = printed.decode("utf-8", "replace"), self._clock() + UNKNOWN_LIFE
        if printed.startswith(b"{"):
            data = orjson.loads(printed)
            token = str(data.get("accessToken") or data.get("access_token") or "")
            expires = data.get("expires_on")
            until = float(expires) - MARGIN if expires else until
        if not token or any(c.isspace() for c in token):
            raise ConfigError(f"The token command printed no token: {shown}")
        return token, until


def token_source(config: EndpointConfig, vault: Vault) -> TokenSource | None:
    """Where this endpoint's Entra tokens come from, or None where it is entered with a key or a fixed token."""
    return TokenSource(config.token_command, vault) if config.token_command else None
