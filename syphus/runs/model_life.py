"""Says when a model is near the end of its service, and stops a run whose model is past it, before anything is sent.

The date is, in this order: what the user's config says; what the server's list of models states (OpenAI gives each
model a `shutdown_date`); what the table of models says, which has other dates for Azure.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

import orjson

from syphus.config.endpoint_settings import ENDPOINT_KINDS, EndpointConfig
from syphus.config.model_table import ModelTable, undated
from syphus.config.secrets import SecretRedactor
from syphus.config.settings import Config
from syphus.endpoints.connections import NoReplyError
from syphus.errors import ConfigError, NoEndpointError
from syphus.text import one_line

NEAR = timedelta(days=60)  #: before the end
_MOST_NAMES = 20  # of models that are shown
_log = logging.getLogger(__name__)

LIST_TIMEOUT = 5.0  #: seconds; a server that lists its models does it at once


def life_notices(config: Config, models: Iterable[str]) -> list[str]:
    """Return which of the models are near the end of their service. Raises `ConfigError` if one is past it."""
    today = datetime.now(UTC).date()
    return [life_notice(config.model_copy(update={"model": name}), {}, today) for name in models]


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
    """Return the first day without the model of a config; None if no end is known."""
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
    return read_ends(await _list_models(endpoint, redactor))


def only_model(config: Config) -> str:
    """Return the name of the only model that the first server of a config lists; "" if it lists none.

    Raises `NoEndpointError` with the names if there are several. Servers of local models have mostly one.
    """
    endpoint = config.endpoints[0]
    if ENDPOINT_KINDS[endpoint.kind].deployments:
        return ""  # the list of Azure says nothing about deployments
    with ThreadPoolExecutor(1, "syphus") as thread:  # an event loop may be running here, as in a notebook
        body = thread.submit(asyncio.run, _list_models(endpoint, SecretRedactor(endpoint.secrets))).result()
    try:
        listed = orjson.loads(body)["data"]
        names = [name for each in listed if isinstance(name := each["id"], str) and name]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    host = urlsplit(endpoint.base_url).netloc
    if len(names) > 1:
        more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
        shown = one_line(", ".join(names[:_MOST_NAMES]), 1_000)
        raise NoEndpointError(f"No model is named, and {host} has several: {shown}{more}. Pass --model.")
    if names:
        _log.warning("No model is named: %s is used, the only one at %s.", one_line(names[0]), host)
    return names[0] if names else ""


async def _list_models(endpoint: EndpointConfig, redactor: SecretRedactor) -> bytes:
    """Return the server's list of models as it came; b"" if there is none."""
    from syphus.endpoints.remote_endpoint import RemoteEndpoint  # loads the SDK, which takes a while

    with contextlib.suppress(NoReplyError, ConfigError, TimeoutError):
        remote = RemoteEndpoint(endpoint, 1, redactor)
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                reply = await remote.list_models()
        finally:
            await remote.close()
        return reply.body if reply.status == 200 else b""
    return b""


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
