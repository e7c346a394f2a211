"""What the official SDK raises, in our terms.

The SDK prepares requests and sends none (`remote.py`), so nothing has gone out and nothing was billed when it fails:
the settings are wrong, or whoever signs the requests could not be reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import openai

from syphus.endpoints.transport import NoReplyError
from syphus.errors import ConfigError
from syphus.secrets import Vault
from syphus.text import one_line

_RAISED = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    ValueError,  # arguments, among them characters that can't stand in a header
    TypeError,
)


@contextmanager
def in_our_terms(host: str, vault: Vault) -> Iterator[None]:
    """Around every use of the SDK: raises `ConfigError` or `NoReplyError` for whatever it raises, without secrets."""
    try:
        yield
    except _RAISED as error:
        raise explained(error, host, vault) from error


def explained(error: Exception, host: str, vault: Vault) -> ConfigError | NoReplyError:
    """What an exception of the SDK means for the endpoint `host`."""
    said = one_line(vault.scrub(str(error))) or type(error).__name__
    match error:
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return NoReplyError("timeout", f"signing the request: {said}")
        case openai.APIConnectionError() | httpx2.HTTPError():
            return NoReplyError("reset", f"signing the request: {said}")
        case openai.APIStatusError():
            return ConfigError(f"Signing a request to {host} was refused ({error.status_code}): {said}")
    return ConfigError(f"A request to {host} can't be prepared: {said}")
