"""Everything that the SDK can raise is classified, and a new version that raises something else is noticed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import SecretStr

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.connections import NoReplyError, NoReplyKind
from syphus.endpoints.remote_endpoint import RemoteEndpoint, translate_sdk_error, translate_sdk_errors
from syphus.errors import ConfigError

HOST = "api.example"
KEY = "sk-canary-0123456789abcdef"
WORDS = f"nasty\x1b[2J words\nabout {KEY}"
REQUEST = httpx2.Request("POST", "https://api.example/v1/chat/completions")

Make = Callable[[type], Exception]


def plain(kind: type) -> Exception:
    made: Exception = kind(WORDS)
    return made


def of_a_request(kind: type) -> Exception:
    made: Exception = kind(request=REQUEST)
    return made


def of_a_status(kind: type) -> Exception:
    response = httpx2.Response(getattr(kind, "status_code", 500), request=REQUEST)
    made: Exception = kind(WORDS, response=response, body=None)
    return made


def oauth(_: type) -> Exception:
    return openai.OAuthError(response=httpx2.Response(401, request=REQUEST), body={"error_description": WORDS})


def finished(kind: type) -> Exception:
    made: Exception = kind(completion=ChatCompletion.construct())
    return made


def no_reply(kind: str) -> Callable[[Exception], bool]:
    return lambda meaning: isinstance(meaning, NoReplyError) and meaning.kind == kind and not meaning.sent


def settings(words: str) -> Callable[[Exception], bool]:
    return lambda meaning: isinstance(meaning, ConfigError) and words in str(meaning)


UNPREPARED = settings(f"A request to {HOST} can't be prepared: ")
REFUSED = settings(f"Signing a request to {HOST} was refused (")

CLASSIFIED: dict[str, tuple[Make, Callable[[Exception], bool]]] = {
    "OpenAIError": (plain, UNPREPARED),
    "APIError": (lambda kind: kind(WORDS, REQUEST, body=None), UNPREPARED),
    "APIConnectionError": (of_a_request, no_reply("reset")),
    "APITimeoutError": (of_a_request, no_reply("timeout")),
    "APIResponseValidationError": (lambda kind: kind(httpx2.Response(200, request=REQUEST), None), UNPREPARED),
    "APIStatusError": (of_a_status, REFUSED),
    "BadRequestError": (of_a_status, REFUSED),
    "AuthenticationError": (of_a_status, REFUSED),
    "OAuthError": (oauth, REFUSED),
    "PermissionDeniedError": (of_a_status, REFUSED),
    "NotFoundError": (of_a_status, REFUSED),
    "ConflictError": (of_a_status, REFUSED),
    "UnprocessableEntityError": (of_a_status, REFUSED),
    "RateLimitError": (of_a_status, REFUSED),
    "InternalServerError": (of_a_status, REFUSED),
    "SubjectTokenProviderError": (plain, UNPREPARED),
    "InvalidWebhookSignatureError": (plain, UNPREPARED),
    # these belong to other uses of the SDK, and are total all the same
    "LengthFinishReasonError": (finished, UNPREPARED),
    "ContentFilterFinishReasonError": (finished, UNPREPARED),
    "WebSocketConnectionClosedError": (lambda kind: kind(WORDS, unsent_messages=[]), UNPREPARED),
    "WebSocketQueueFullError": (plain, UNPREPARED),
}


def raised_by_the_sdk() -> dict[str, type[Exception]]:
    """Every exception that `openai` exports, and all others of the module that defines them."""
    defined_in = sys.modules[openai.APIStatusError.__init__.__module__]
    found = {
        value
        for module in (openai, defined_in)
        for value in list(vars(module).values())  # it loads more of itself as it is looked at
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__.startswith("openai")
    }
    return {kind.__name__: kind for kind in found if not kind.__name__.startswith("_")}


def test_every_exception_of_the_sdk_is_classified() -> None:
    assert sorted(raised_by_the_sdk()) == sorted(CLASSIFIED)


@pytest.mark.parametrize("name", CLASSIFIED)
def test_each_becomes_one_line_without_a_secret(name: str) -> None:
    redactor = SecretRedactor()
    redactor.keep(KEY)
    make, is_right = CLASSIFIED[name]
    error = make(raised_by_the_sdk()[name])
    meaning = translate_sdk_error(error, HOST, redactor)
    assert is_right(meaning), repr(meaning)
    assert str(meaning).isprintable()
    assert KEY not in str(meaning)
    with pytest.raises(type(meaning), match=r"^[^\n]+$"), translate_sdk_errors(HOST, redactor):
        raise error


def test_every_subclass_that_is_loaded_is_caught() -> None:
    waiting, seen = [openai.OpenAIError], set()
    while waiting:
        kind = waiting.pop()
        seen.add(kind)
        waiting += kind.__subclasses__()
    assert len(seen) >= 20
    for kind in seen:
        error = kind.__new__(kind)
        if isinstance(error, openai.APIStatusError):
            error.status_code = 400
        with pytest.raises((ConfigError, NoReplyError)), translate_sdk_errors(HOST, SecretRedactor()):
            raise error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Unable to handle auth"),
        TypeError("Could not resolve authentication method"),
        UnicodeEncodeError("ascii", "…", 0, 1, "ordinal not in range(128)"),
        httpx2.InvalidURL("Invalid port"),
        httpx2.LocalProtocolError("Illegal header value"),
    ],
)
def test_what_comes_from_below_the_sdk_is_caught_too(error: Exception) -> None:
    with (
        pytest.raises((ConfigError, NoReplyError), match=r"can't be prepared|signing"),
        translate_sdk_errors(HOST, SecretRedactor()),
    ):
        raise error


def test_our_own_errors_pass() -> None:
    for error in (ConfigError("ours"), NoReplyError(NoReplyKind.RESET)):
        with pytest.raises(type(error)) as passed, translate_sdk_errors(HOST, SecretRedactor()):
            raise error
        assert passed.value is error


# As an endpoint tells it


def configured(**settings: object) -> EndpointConfig:
    given = {"base_url": "http://127.0.0.1:1/v1", "api_key": SecretStr(KEY), **settings}
    return EndpointConfig.model_validate(given)


@pytest.mark.parametrize(
    "config",
    [
        configured(base_url="http://a..b/v1"),
        configured(base_url=f"http://{'a' * 64}.example/v1"),
    ],
)
def test_settings_that_the_sdk_can_not_send_are_one_line(config: EndpointConfig) -> None:
    async def send() -> None:
        endpoint = RemoteEndpoint(config, 1, SecretRedactor())
        try:
            await endpoint.send(b"{}")
        finally:
            await endpoint.close()

    with pytest.raises((ConfigError, NoReplyError)) as error:
        asyncio.run(send())
    assert str(error.value).isprintable()
    assert KEY not in str(error.value)


def test_two_credentials_that_got_past_the_config_are_one_line() -> None:
    both = configured(kind="azure", base_url="http://127.0.0.1:1", deployment="d").model_copy(
        update={"token": SecretStr("token-0123456789")}
    )

    async def main() -> None:
        with pytest.raises(ConfigError, match="mutually exclusive"):
            RemoteEndpoint(both, 1, SecretRedactor())

    asyncio.run(main())
