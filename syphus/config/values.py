"""The kinds of values in a config: secrets, plain texts, headers, addresses of servers, sizes of batches.

Addresses are copied from portals, pages and other programs. What one says beyond the address itself (the route, the
deployment, the version of the API) is taken from it, so that it works as it was copied. Source for Azure: Microsoft's
page on the lifecycle of its API versions, and `docs/azure.md` of openai-node (2026-11-30).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo

from syphus.config.secrets import VARIABLE, looks_like_key

_DEPLOYMENTS = "/openai/deployments/"
_V1 = "/openai/v1"
_ROUTES = ("/chat/completions", "/completions", "/embeddings", "/responses")
_AZURE_DOMAINS = (".azure.com", ".azure.us", ".azure.cn")  # Microsoft's clouds; not those of gateways before them
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
#: Headers that describe the connection or the body (RFC 9110 sections 7.6.1 and 8), which only the client can know.
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class StrictModel(BaseModel):
    """Settings that are frozen, of the right types, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _with_variables(text: str, info: ValidationInfo) -> str:
    """Replace `${VAR}` in a text from a file, which has the environment as context."""
    environ: Mapping[str, str] | None = info.context

    def value(match: re.Match[str]) -> str:
        found = (environ or {}).get(match[1], "")
        if not found.strip():
            raise ValueError(f"needs the environment variable {match[1]}, which is not set")
        return found

    return (text if environ is None else VARIABLE.sub(value, text)).strip()


def _resolved(secret: SecretStr, info: ValidationInfo) -> SecretStr:
    text = _with_variables(secret.get_secret_value(), info)
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("is empty or has characters that a key can't have; was it copied completely?")
    return SecretStr(text)


def _plain(text: str) -> str:
    if found := VARIABLE.search(text):
        raise ValueError(f"has {found[0]}, which is replaced in api_key, token and headers only")
    if not text.isprintable():
        raise ValueError("has control characters")
    return text


def _header(text: str) -> str:
    if not text.isascii():
        raise ValueError("has characters that a header can't have")
    return _plain(text)


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is not the name of a header")
    if name.lower() in _OWN_HEADERS:
        raise ValueError("is a header that Syphus sets itself; leave it out")
    return name


def _header_value(given: object, info: ValidationInfo) -> object:
    """Return the value of a header: as a secret if it is from a variable, or looks like a key."""
    text = given.get_secret_value() if isinstance(given, SecretStr) else given
    if not isinstance(text, str):
        return given
    value = _with_variables(text, info)
    if not value or not value.isascii() or not value.isprintable():
        raise ValueError("is empty or has characters that a header can't have")
    is_secret = isinstance(given, SecretStr) or value != text.strip() or looks_like_key(value)
    return SecretStr(value) if is_secret else value


def _named_once(headers: dict[str, str | SecretStr]) -> dict[str, str | SecretStr]:
    names = [name.lower() for name in headers]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"has {twice} twice")
    return headers


Secret = Annotated[SecretStr, AfterValidator(_resolved)]
Plain = Annotated[str, AfterValidator(_plain)]
Header = Annotated[str, AfterValidator(_header)]
Headers = Annotated[
    dict[Annotated[str, AfterValidator(_header_name)], Annotated[str | SecretStr, BeforeValidator(_header_value)]],
    AfterValidator(_named_once),
]


class Address(NamedTuple):
    """What an address says: the base URL, and on Azure the deployment and the version of the API, if it has them."""

    base_url: str
    deployment: str = ""
    api_version: str = ""


def read_address(text: str) -> Address:
    """Return an address without what was copied with it: the route, and on Azure the deployment and the version.

    A text that is not an address, or has a query that means something else, stays as it is.
    """
    text = text.strip()
    try:
        parts = urlsplit(text)
        query = parse_qs(parts.query, keep_blank_values=True)
        host = parts.hostname or ""
    except ValueError:
        return Address(text)
    path = parts.path.rstrip("/")
    if parts.fragment or set(query) - {"api-version"} or not host:
        return Address(text)
    version = query.get("api-version", [""])[0]
    route = next((route for route in _ROUTES if path.endswith(route)), "")
    path = path.removesuffix(route)
    before, found, deployment = path.partition(_DEPLOYMENTS)
    if found and deployment and "/" not in deployment:
        return Address(f"{parts.scheme}://{parts.netloc}{before}", unquote(deployment), version)
    if path == "/openai" and host.endswith(_AZURE_DOMAINS):
        return Address(f"{parts.scheme}://{parts.netloc}", "", version)
    if version and not path.endswith("/v1"):  # elsewhere, the version would be lost
        return Address(text)
    if route or version:
        return Address(f"{parts.scheme}://{parts.netloc}{path}")
    return Address(text)


def is_v1(base_url: str) -> bool:
    """Return whether an address is that of Azure's v1 API, which takes the deployment as the model."""
    return urlsplit(base_url).path.rstrip("/").endswith(_V1)


def sent_as(header: str, endpoint: Mapping[str, object]) -> str:
    """Return the setting of an endpoint that is sent as this header, in lower case, if it is set; otherwise ""."""
    by_key = endpoint["kind"] == "azure" and endpoint["api_key"] and not is_v1(str(endpoint["base_url"]))
    if header == ("api-key" if by_key else "authorization"):
        return next((name for name in ("api_key", "token", "token_command") if endpoint[name]), "")
    setting = header.removeprefix("openai-")
    return setting if header in ("openai-organization", "openai-project") and endpoint[setting] else ""


def other_addresses(base_url: str) -> list[str]:
    """Return where a server's API usually is that is not at this base URL."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    root = path.removesuffix("/v1")
    paths = [f"{root}{end}" for end in ("/v1", "/api/v1", _V1) if f"{root}{end}" != path]
    if root != path and root.endswith("/v1"):
        paths.insert(0, root)
    return [f"{parts.scheme}://{parts.netloc}{each}" for each in paths]


def address_problem(text: str, kind: str) -> str:
    """Return what is wrong with the base URL of a server, or "". It never shows the address, which may hold a key."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        usable = parts.scheme in ("http", "https") and host and (parts.port or 1) and " " not in text
    except ValueError:
        usable, host = False, ""
    if not usable:
        return f"is not an address such as https://host/v1{_likely_slip(text)}"
    if "@" in parts.netloc:
        return "has a user name or password; use api_key"
    path = parts.path.rstrip("/")
    if host.endswith(_AZURE_DOMAINS) and not path.endswith("/v1") and (kind == "openai" or path):
        return (
            f"is not a base URL of Azure's API; write https://RESOURCE.openai.azure.com{_V1} with the deployment as "
            "the model, or the resource alone with `kind: azure` and a deployment"
        )
    if parts.query and kind == "openai" and _DEPLOYMENTS in path:
        return "is that of a deployment on Azure; write `kind: azure` beside it"
    if parts.query or parts.fragment:
        return "should end before ?, and has nothing of a query"
    return ""


def _likely_slip(text: str) -> str:
    """Return what is probably missing in a text that is not an address."""
    scheme, separator, rest = text.partition("://")
    if not separator and re.match(r"[\w.-]+\.\w+|[\w-]+:\d|\[", text) and "=" not in text:
        return "; http:// or https:// is missing"
    if separator and scheme in ("http", "https"):
        host = rest.partition("/")[0]
        for end in (host, host.rpartition(":")[0]):
            if _is_ipv6(end):
                return "; an IPv6 address has brackets, as in http://[::1]:8000/v1"
    return ""


def _is_ipv6(text: str) -> bool:
    try:
        return ip_address(text).version == 6
    except ValueError:
        return False


OPENAI_LINES = 50_000  #: requests of a batch (developers.openai.com/api/docs/guides/batch, looked up on 2026-12-01)
AZURE_LINES = 100_000  #: (learn.microsoft.com/azure/foundry/openai/how-to/batch, looked up on 2026-12-01)


class BatchConfig(StrictModel):
    """How requests are put into batches.

    `requests` is None for the limit of the endpoint's kind. OpenAI and Azure take files of 200 MB.
    """

    requests: int | None = Field(default=None, gt=0)  #: in one batch, at most
    megabytes: float = Field(default=200.0, gt=0)  #: of one file, at most; a megabyte is a million bytes
    enqueued_tokens: float | None = Field(default=None, gt=0)  #: of prompts in all open batches; None: until refused
    listing_delay: float = Field(default=60.0, ge=0)  #: seconds after which a list shows every batch that was created
    poll: float = Field(default=60.0, gt=0)  #: seconds between two looks at a batch, at most
    cancel_seconds: float = Field(default=600.0, ge=0)  #: that a server may take to cancel a batch
    expire_files_after: int = Field(default=1_209_600, ge=3_600, le=2_592_000)  #: seconds; Azure takes no fewer

    def most_requests(self, *, azure: bool) -> int:
        """Return the most requests of one batch."""
        return self.requests or (AZURE_LINES if azure else OPENAI_LINES)
