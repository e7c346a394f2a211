"""Check the key, route, model and parameters of a request. A wrong request gets the error of OpenAI or Azure."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from syphus.simulator.chat_request import ChatRequest, unsupported_parameter, unsupported_value
from syphus.simulator.faults.refusals import (
    BAD_API_VERSION,
    NO_TOKEN_AZURE,
    UNKNOWN_DEPLOYMENT,
    WRONG_KEY_AZURE,
    masked,
    unknown_model,
    wrong_key,
)
from syphus.simulator.profiles import PROFILES
from syphus.simulator.replies import Rejected, openai_error
from syphus.simulator.settings import Simulation

_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. "
    "Authorization: Bearer YOUR_KEY)."
)


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a request, and its route. `deployment` and `api_version` are "" on the OpenAI route."""

    key: str
    azure: bool
    deployment: str
    api_version: str


def authenticate(request: web.BaseRequest, simulation: Simulation) -> Client:
    """Return the client of `request`.

    Raises `Rejected` for a missing or wrong key, or an unknown deployment or api-version.
    """
    bearer = request.headers.get("Authorization", "")
    key = bearer[7:] if bearer.lower().startswith("bearer ") else ""
    path = request.path
    if not path.startswith("/openai/"):
        if not key or key != (simulation.key or key):
            raise Rejected(wrong_key(masked(key)) if key else openai_error(401, _NO_KEY))
        return Client(key, azure=False, deployment="", api_version="")
    api_key = request.headers.get("api-key", "")
    if simulation.key not in {"", api_key, key}:
        raise Rejected(WRONG_KEY_AZURE)
    if not (api_key or key):
        raise Rejected(NO_TOKEN_AZURE)
    return _azure_client(api_key or key, path, request.query.get("api-version", ""), simulation)


def _azure_client(key: str, path: str, version: str, simulation: Simulation) -> Client:
    rest = path.partition("/deployments/")[2]
    if not rest:  # the newer /openai/v1/ route: no deployment in its path, and no version needed
        return Client(key, azure=True, deployment="", api_version=version)
    if not version or (simulation.api_versions and version not in simulation.api_versions):
        raise Rejected(BAD_API_VERSION)
    deployment = rest.partition("/")[0]
    if simulation.deployments and deployment not in simulation.deployments:
        raise Rejected(UNKNOWN_DEPLOYMENT)
    return Client(key, azure=True, deployment=deployment, api_version=version)


def check_parameters(chat: ChatRequest, client: Client, simulation: Simulation) -> None:
    """Raise `Rejected` for a model or parameter that this endpoint does not accept."""
    if simulation.models and not client.deployment and chat.model not in simulation.models:
        raise Rejected(unknown_model(chat.model))
    refusal = PROFILES[simulation.profile].refuse(chat.body)
    if refusal is not None:
        raise Rejected(refusal)
    refused = ("max_tokens",) * simulation.refuse_max_tokens
    for name in (*refused, *simulation.refuse_parameters):
        if chat.body.get(name) is not None:
            raise Rejected(unsupported_parameter(name))
    for name, is_fixed in (("temperature", simulation.fixed_temperature), ("top_p", simulation.fixed_top_p)):
        value = chat.body.get(name)
        if is_fixed and value not in {None, 1}:
            raise Rejected(unsupported_value(name, value))
