"""Says when a model is near the end of its service, and stops a run whose model is past it, before anything is sent.

The date is, in this order: what the user's config says; what the server's list of models states (OpenAI gives each
model a `shutdown_date`); what the table of models says, which has other dates for Azure.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import date, timedelta
from urllib.parse import urlsplit

import orjson

from syphus.config.model_table import ModelTable, undated
from syphus.config.secrets import SecretRedactor
from syphus.config.settings import ENDPOINT_KINDS, Config
from syphus.endpoints.connections import NoReplyError
from syphus.errors import ConfigError

NEAR = timedelta(days=60)  #: before the end
LIST_TIMEOUT = 5.0  #: seconds; a server that lists its models does it at once


def life_notice(config: Config, stated: Mapping[str, date | None], today: date) -> str:
    """Return what to say about the end of the model's service; "" if it is far or not known.

    `stated` is the end of each model whose end the server states; None is no end. Raises `ConfigError` if it is past.
    """
    model, end = config.model, shutdown_date(config, stated)
    if end is None or end - today > NEAR:
        return ""
    family = ModelTable(config.models).find(model)
    successor = family.successor if family is not None else ""
    advice = f" Its successor is {successor}." if successor else ""
    if end <= today:
        other = f"--model {successor}" if successor else "another --model"
        raise ConfigError(
            f"{model} was shut down on {end}.{advice} Use {other}; if the model still answers there, put "
            f"`models: {{{model}: {{shutdown: null}}}}` into a --config file."
        )
    days = (end - today).days
    when = "tomorrow" if days == 1 else f"in {days} days"
    return f"{model} will be shut down {when}, on {end}.{advice}"


def shutdown_date(config: Config, stated: Mapping[str, date | None]) -> date | None:
    """Return the first day without the model of a config; None if there is none or it is not known."""
    model, table = config.model, ModelTable(config.models)
    family = table.find(model)
    on_azure = any(ENDPOINT_KINDS[endpoint.kind].deployments for endpoint in config.endpoints)
    field = "azure_shutdown" if on_azure else "shutdown"
    if family is not None:
        for name in (field, "shutdown"):
            if name in config.models.get(family.name, {}):
                given: date | None = getattr(family, name)
                return given
    for name in (model, undated(model)):
        if name in stated:
            return stated[name]
    found: date | None = getattr(family, field, None)
    return found


async def stated_ends(config: Config, redactor: SecretRedactor) -> dict[str, date | None]:
    """Ask the first server of a config for its list of models, and return the ends that it states.

    Servers need not have such a list, and nothing fails without it. It is not asked for a model that is not in the
    table at a host that is not OpenAI's, since such servers state no ends; nor on Azure, whose list says nothing about
    deployments.
    """
    endpoint = config.endpoints[0]
    is_official = f".{urlsplit(endpoint.base_url).hostname}".endswith(".api.openai.com")
    may_state = is_official or ModelTable(config.models).find(config.model) is not None
    if ENDPOINT_KINDS[endpoint.kind].deployments or not may_state:
        return {}
    from syphus.endpoints.remote_endpoint import RemoteEndpoint  # loads the SDK, which takes a while

    with contextlib.suppress(NoReplyError, ConfigError, TimeoutError):
        remote = RemoteEndpoint(endpoint, 1, redactor)
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                reply = await remote.list_models()
        finally:
            await remote.close()
        return read_ends(reply.body) if reply.status == 200 else {}
    return {}


def read_ends(body: bytes) -> dict[str, date | None]:
    """Return the end of each model in a list of models that has one stated, or that is said to have none."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    listed = data.get("data") if isinstance(data, dict) else None
    ends: dict[str, date | None] = {}
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and "shutdown_date" in each and isinstance(each.get("id"), str):
            with contextlib.suppress(ValueError, TypeError):
                stated = each["shutdown_date"]
                ends[each["id"]] = None if stated is None else date.fromisoformat(stated)
    return ends
