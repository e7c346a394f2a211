"""Requests that are refused for their key, model, location, size, content, images or parameters. Nothing is billed."""

from __future__ import annotations

from syphus.simulator.chat_request import BROKEN_IMAGE, NO_VISION
from syphus.simulator.completion import Exchange, Json, filter_results
from syphus.simulator.faults.table import fault, fixed_fault
from syphus.simulator.replies import SimulatedReply, azure_error, html_reply, json_reply, openai_error

_FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify "
    "your prompt and "
    "retry. To learn more about our content filtering policies please read our documentation: "
    "https://go.microsoft.com/fwlink/?linkid=2198766"
)
_WINDOW = 128  # tokens; the context window in the `context_length` faults


def wrong_key(shown: str) -> SimulatedReply:
    """Return OpenAI's 401 for an unknown key; `shown` is the part of the key that its message echoes."""
    text = f"Incorrect API key provided: {shown}. You can find your API key at https://platform.openai.com/account/api-keys."
    return openai_error(401, text, code="invalid_api_key")


def masked(key: str) -> str:
    """Mask a key as OpenAI's 401 does: all but the first eight and last four characters; a short key completely."""
    return f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}" if len(key) > 16 else "*" * len(key)


def unknown_model(name: str) -> SimulatedReply:
    """Return OpenAI's 404 for a model that does not exist, or that this key may not use."""
    return openai_error(
        404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found"
    )


WRONG_KEY_AZURE = azure_error(
    401,
    "401",
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription "
    "and use a correct regional API endpoint for your resource.",
)
NO_TOKEN_AZURE = json_reply(
    401,
    {
        "statusCode": 401,
        "message": "Unauthorized. Access token is missing, invalid, audience is incorrect "
        "(https://cognitiveservices.azure.com), or have expired.",
    },
)
UNKNOWN_DEPLOYMENT = azure_error(
    404,
    "DeploymentNotFound",
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
    "please wait a "
    "moment and try again.",
)
BAD_API_VERSION = azure_error(404, "404", "Resource not found")


@fault()
def invalid_key(exchange: Exchange) -> SimulatedReply:
    """401 invalid_api_key whose message echoes a part of the key."""
    return wrong_key(masked(exchange.key))


@fault()
def invalid_key_echo(exchange: Exchange) -> SimulatedReply:
    """401 invalid_api_key whose message echoes the whole key."""
    return wrong_key(exchange.key)


@fault()
def model_not_found(exchange: Exchange) -> SimulatedReply:
    """404 model_not_found."""
    return unknown_model(exchange.requested_model)


@fault()
def model_forbidden(exchange: Exchange) -> SimulatedReply:
    """403 model_not_found: the project may not use this model."""
    text = f"Project `proj_simulated` does not have access to model `{exchange.requested_model}`"
    return openai_error(403, text, code="model_not_found")


@fault()
def context_length(exchange: Exchange) -> SimulatedReply:
    """400 context_length_exceeded."""
    return openai_error(400, _too_long(exchange), param="messages", code="context_length_exceeded")


@fault()
def context_length_gateway(exchange: Exchange) -> SimulatedReply:
    """context_length_exceeded through a gateway: 400, code "400"; only the message shows it."""
    text = f"litellm.BadRequestError: litellm.ContextWindowExceededError: OpenAIException - {_too_long(exchange)}"
    return openai_error(400, text, None, code="400")


@fault()
def context_length_llama(exchange: Exchange) -> SimulatedReply:
    """400 exceed_context_size_error of llama-server, with both sizes."""
    needed = exchange.prompt.tokens + _WINDOW
    error: Json = {
        "code": 400,
        "message": f"request ({needed} tokens) exceeds the available context size ({_WINDOW} tokens), "
        "try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": needed,
        "n_ctx": _WINDOW,
    }
    return json_reply(400, {"error": error})


@fault()
def bad_parameter(exchange: Exchange) -> SimulatedReply:
    """400 with the name of the parameter."""
    text = f"Invalid value: 'temperature' cannot be used with {exchange.requested_model}."
    return openai_error(400, text, param="temperature", code="invalid_value")


def _too_long(exchange: Exchange) -> str:
    return (
        f"This model's maximum context length is {_WINDOW} tokens. However, your messages resulted in "
        f"{exchange.prompt.tokens + _WINDOW} "
        "tokens. Please reduce the length of the messages."
    )


def _content_filter(filtered: str) -> SimulatedReply:
    verdict = {**filter_results(filtered), "jailbreak": {"filtered": False, "detected": False}}
    error: Json = {"message": _FILTERED, "type": None, "param": "prompt", "code": "content_filter", "status": 400}
    error["innererror"] = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": verdict}
    return json_reply(400, {"error": error})


fixed_fault("invalid_key_azure", '401 of Azure: invalid subscription key, code "401".', WRONG_KEY_AZURE)
fixed_fault("token_expired", "401 of Azure for an expired Entra token, without an error object.", NO_TOKEN_AZURE)
fixed_fault(
    "ip_not_authorized",
    "401: the IP address is not on the project's allowlist.",
    openai_error(401, "Your IP address is not on the allowlist of this project.", code="ip_not_authorized"),
)
fixed_fault(
    "network_403",
    "403 of Azure: denied by firewall rules.",
    azure_error(403, "403", "Access denied due to Virtual Network/Firewall rules."),
)
fixed_fault(
    "country_403",
    "403 unsupported_country_region_territory.",
    openai_error(
        403,
        "Country, region, or territory not supported",
        "request_forbidden",
        code="unsupported_country_region_territory",
    ),
)
fixed_fault(
    "blocked_403",
    "403 of Azure: the resource has been temporarily blocked.",
    azure_error(
        403,
        "Forbidden",
        "Your resource has been temporarily blocked because we detected behavior that may violate our content "
        "policy. For more details "
        "on Azure OpenAI service content policy, please visit https://aka.ms/aoaicodeofconduct",
    ),
)
fixed_fault("deployment_not_found", "404 DeploymentNotFound of Azure.", UNKNOWN_DEPLOYMENT)
fixed_fault("bad_api_version", '404 of Azure for a wrong api-version: code "404", Resource not found.', BAD_API_VERSION)
fixed_fault(
    "content_filter", "400 content_filter of Azure, with the categories in innererror.", _content_filter("violence")
)
fixed_fault("content_filter_string", "400 content_filter whose body is a bare JSON string.", json_reply(400, _FILTERED))
fixed_fault(
    "content_filter_text",
    "400 content_filter in JSON, declared as text/plain.",
    SimulatedReply(400, _content_filter("violence").body, content_type="text/plain; charset=utf-8"),
)
fixed_fault(
    "content_filter_gateway",
    'content_filter through a gateway: 400, type server_error, code "400"; only the message shows it.',
    openai_error(
        400,
        f"litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException - {_FILTERED}",
        "server_error",
        code="400",
    ),
)
fixed_fault(
    "unprocessable",
    "422 with a list of validation errors instead of an error object.",
    json_reply(
        422, {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {}}]}
    ),
)


@fault()
def request_echo(exchange: Exchange) -> SimulatedReply:
    """422 of FastAPI that echoes the request, with its images."""
    asked = exchange.chat.last_content
    return json_reply(422, {"detail": [{"input": asked, "type": "literal_error", "loc": ["body", "messages"]}]})


fixed_fault(
    "image_unreadable",
    "400 image_parse_error: the image can't be read.",
    openai_error(400, BROKEN_IMAGE, param="messages.[1].content.[0]", code="image_parse_error"),
)
fixed_fault(
    "no_vision",
    "400: the model does not accept images.",
    openai_error(400, NO_VISION, param="messages.[1].content.[0].type"),
)
fixed_fault(
    "too_large_413", "413 of a proxy: the request is too large.", html_reply(413, "413 Request Entity Too Large")
)
