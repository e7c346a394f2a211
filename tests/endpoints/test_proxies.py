"""Proxies and certificates, as the environment of a company has them: a real proxy, real TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme
from harness import KEY, run_rows
from proxy import proxying
from wire import Seen, Wire, completion, in_thread, listen, reply, serving
from yarl import URL

from syphus.config.secrets import SecretRedactor
from syphus.endpoints.connections import NoReplyError, Reply
from syphus.endpoints.transport import Transport, proxy_for
from syphus.errors import ConfigError

PASSWORD = "geheim/w:ö%t"  # every character of it is encoded in a URL
ENCODED = "geheim%2Fw%3A%C3%B6%25t"


class Authority:
    """A certificate authority of a company's own."""

    def __init__(self, folder: Path, name: str) -> None:
        self._ca = trustme.CA()
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def serving(self, *names: str) -> ssl.SSLContext:
        """What a server needs that has these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ours")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "theirs")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


async def post(url: str, redactor: SecretRedactor | None = None, verify: bool = True) -> Reply:
    transport = Transport(url, 4, redactor or SecretRedactor(), verify, connect_timeout=5.0)
    try:
        replies = [await transport.post(URL(url), {"Authorization": f"Bearer {KEY}"}, b"{}") for _ in range(2)]
        return replies[-1]
    finally:
        await transport.close()


def refusal(url: str, redactor: SecretRedactor | None = None, verify: bool = True) -> NoReplyError:
    with pytest.raises(NoReplyError) as error:
        asyncio.run(post(url, redactor, verify))
    assert "\n" not in str(error.value)
    return error.value


class Met:
    """What a server and a proxy before it saw."""

    def __init__(self, reply: Reply, server: Wire, proxy: Wire) -> None:
        self.reply = reply
        self.server = server
        self.proxy = proxy


def through(
    monkeypatch: pytest.MonkeyPatch,
    variables: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    credentials: str = "",
    inner_tls: ssl.SSLContext | None = None,
    own_tls: ssl.SSLContext | None = None,
    verify: bool = True,
    redactor: SecretRedactor | None = None,
) -> Met:
    """Asks a server while `variables` are set, in which PROXY and SERVER stand for the host and port of each."""

    async def main() -> Met:
        async with (
            serving(lambda _: reply(b"there"), tls) as server,
            proxying(credentials, inner_tls, own_tls) as proxy,
        ):
            for name, value in variables.items():
                address = value.replace("PROXY", f"127.0.0.1:{proxy.port}")
                monkeypatch.setenv(name, address.replace("SERVER", f"127.0.0.1:{server.port}"))
            return Met(await post(f"{server.url}/v1", redactor, verify), server, proxy)

    return asyncio.run(main())


# Which proxy


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_plain_request_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch, name: str, scheme: str) -> None:
    met = through(monkeypatch, {name: f"{scheme}PROXY"})
    assert met.reply.body == b"there"
    assert [seen.target for seen in met.proxy.seen] == [f"{met.server.url}/v1"] * 2
    assert [seen["Authorization"] for seen in met.server.seen] == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_tls_request_goes_through_a_tunnel_that_hides_the_key(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, name: str
) -> None:
    met = through(monkeypatch, {name: "http://PROXY", "SSL_CERT_FILE": str(authority.file)}, authority.serving())
    assert met.reply.body == b"there"
    (tunnel,) = met.proxy.seen  # and both requests went through it
    assert tunnel.line == f"CONNECT 127.0.0.1:{met.server.port} HTTP/1.1"
    assert KEY not in str(tunnel.headers)
    assert [seen["Authorization"] for seen in met.server.seen] == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_the_proxy_for_tls_is_not_used_without_tls(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert through(monkeypatch, {name: "http://PROXY"}).proxy.seen == []


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("exempt", ["127.0.0.1", "SERVER", "*", "elsewhere.example, 127.0.0.1"])
def test_no_proxy_exempts_a_host(monkeypatch: pytest.MonkeyPatch, name: str, exempt: str) -> None:
    met = through(monkeypatch, {"HTTP_PROXY": "http://PROXY", name: exempt})
    assert (met.reply.body, met.proxy.seen) == (b"there", [])


@pytest.mark.parametrize("exempt", ["", "elsewhere.example", "127.0.0.1:1", "7.0.0.1"])
def test_no_proxy_exempts_no_other_host(monkeypatch: pytest.MonkeyPatch, exempt: str) -> None:
    assert len(through(monkeypatch, {"HTTP_PROXY": "http://PROXY", "NO_PROXY": exempt}).proxy.seen) == 2


@pytest.mark.parametrize(
    ("exempt", "url", "is_exempt"),
    [
        (".corp.example", "https://api.corp.example/v1", True),
        ("corp.example", "https://api.corp.example:8443/v1", True),
        ("corp.example", "https://notcorp.example/v1", False),
        ("::1", "https://[::1]:8000/v1", True),
        ("localhost", "https://LOCALHOST/v1", True),
        ("10.0.0.0/8", "https://10.20.30.40:8000/v1", True),
        ("10.0.0.0/8", "https://11.0.0.1/v1", False),
        ("192.168.1.7/24", "https://192.168.1.9/v1", True),
        ("10.0.0.0/8,fd00::/8", "https://[fd12::1]:8000/v1", True),
        ("fd00::/8", "https://10.0.0.1/v1", False),
        ("10.0.0.0/8", "https://ten.example/v1", False),
        ("[::1]", "https://[::1]:8000/v1", True),
        ("[::1]:8000", "https://[::1]:8000/v1", True),
        ("[::1]:8001", "https://[::1]:8000/v1", False),
        ("0:0:0:0:0:0:0:1", "https://[::1]/v1", True),
        ("fe80::/10", "https://[fe80::1%25eth0]/v1", True),
        ("api.example:443", "https://api.example/v1", True),
        ("api.example:8443", "https://api.example/v1", False),
        ("*.corp.example", "https://api.corp.example/v1", True),
        ("*.corp.example", "https://notcorp.example/v1", False),
        ("10.1.*", "https://10.1.2.3/v1", True),
        ("llm-*.example", "https://llm-7.example/v1", True),
        ("one.example two.example", "https://two.example/v1", True),
        ("API.Example.", "https://api.example./v1", True),
        ("0.1", "https://10.0.0.1/v1", False),
        (" , ,", "https://api.example/v1", False),
    ],
)
def test_no_proxy_by_domain(monkeypatch: pytest.MonkeyPatch, exempt: str, url: str, is_exempt: bool) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert (proxy_for(url) is None) is is_exempt


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "socks5://u:geheim@127.0.0.1:1080",
            "HTTPS_PROXY names a 'socks5' proxy; only http and https are supported",
        ),
        ("http://u:geheim@127.0.0.1:port", "HTTPS_PROXY must be a URL such as http://proxy.example:3128"),
        ("http://", "HTTPS_PROXY must be a URL such as http://proxy.example:3128"),
    ],
)
def test_a_proxy_that_can_not_be_used_is_an_error_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(ConfigError) as error:
        proxy_for("https://api.example/v1")
    assert str(error.value).startswith(said)
    assert "geheim" not in str(error.value)


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://u:{ENCODED}@127.0.0.1:9")
    error = refusal("http://127.0.0.1:1/v1")
    assert (error.kind, error.sent) == ("proxy", False)
    assert error.message.startswith("127.0.0.1:9: ")
    assert "geheim" not in str(error)


# Who we are, to the proxy


def test_a_proxy_gets_its_user_and_password_and_the_server_does_not(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    given = {"HTTPS_PROXY": f"http://u:{ENCODED}@PROXY", "SSL_CERT_FILE": str(authority.file)}
    met = through(monkeypatch, given, authority.serving(), credentials=f"u:{PASSWORD}")
    assert met.reply.body == b"there"
    assert all(not seen["Proxy-Authorization"] for seen in met.server.seen)
    plain = through(monkeypatch, {"HTTP_PROXY": f"http://u:{ENCODED}@PROXY"}, credentials=f"u:{PASSWORD}")
    assert plain.reply.body == b"there"


def test_the_password_is_redacted_in_every_form_that_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    redactor = SecretRedactor()
    met = through(
        monkeypatch, {"HTTP_PROXY": f"http://u:{ENCODED}@PROXY"}, credentials=f"u:{PASSWORD}", redactor=redactor
    )
    sent = met.proxy.seen[0]["Proxy-Authorization"]
    assert redactor.scrub(f"{PASSWORD} {ENCODED} {sent}") == "[secret] [secret] Basic [secret]"


def test_a_tunnel_without_the_right_password_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def main() -> tuple[NoReplyError, list[Seen]]:
        async with serving(tls=authority.serving()) as server, proxying("u:right") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://u:{ENCODED}@127.0.0.1:{proxy.port}")
            with pytest.raises(NoReplyError) as error:
                await post(server.url)
            return error.value, server.seen

    error, seen = asyncio.run(main())
    assert (error.kind, error.sent, seen) == ("proxy", False, [])
    assert "requires a user name and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT" in error.message
    assert "geheim" not in str(error)


@pytest.mark.parametrize("secure", [True, False])
def test_a_run_whose_proxy_refuses_it_stops_in_one_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, secure: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    tls = authority.serving() if secure else None
    with in_thread(lambda: serving(tls=tls)) as server, in_thread(lambda: proxying("u:right")) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://u:{ENCODED}@127.0.0.1:{proxy.port}")
        ran = run_rows(tmp_path, f"{server.url}/v1")
        assert server.seen == []
        assert len(proxy.seen) == 1
    assert ran.exit_code in (2, 3)
    assert "requires a user name and a password" in str(ran.error)
    written = b"".join(path.read_bytes() for path in ran.folder.rglob("*") if path.is_file())
    assert written
    for secret in (PASSWORD, ENCODED, KEY):
        assert secret.encode() not in written
        assert secret not in f"{ran.error} {ran.lines}"


# Certificates


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_private_authority_is_trusted_where_a_variable_names_it(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, name: str
) -> None:
    met = through(monkeypatch, {name: str(authority.file)}, authority.serving())
    assert (met.reply.body, met.proxy.seen) == (b"there", [])


def test_a_folder_of_certificates_can_be_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority
) -> None:
    """As OpenSSL reads it: by the hash of the subject. An empty one trusts nobody, and is no error."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))

    async def main() -> str:
        async with serving(tls=authority.serving()) as server:
            with pytest.raises(NoReplyError) as error:
                await post(server.url)
            return error.value.kind

    assert asyncio.run(main()) == "TLS"


def test_an_unknown_authority_is_refused_with_the_name_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, other: Authority
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(other.file))

    async def main() -> tuple[NoReplyError, list[Seen]]:
        async with serving(tls=authority.serving()) as server:
            with pytest.raises(NoReplyError) as error:
                await post(server.url)
            return error.value, server.seen

    error, seen = asyncio.run(main())
    assert (error.kind, error.sent, seen) == ("TLS", False, [])
    assert str(error).startswith("TLS: certificate verify failed: ")
    assert str(error).endswith("name your certificate authority with SSL_CERT_FILE=/path/to/ca.pem")


def test_a_certificate_of_somebody_else_is_refused_and_no_authority_helps(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def main() -> str:
        async with serving(tls=authority.serving("elsewhere.example")) as server:
            with pytest.raises(NoReplyError) as error:
                await post(server.url)
            return str(error.value)

    said = asyncio.run(main())
    assert "IP address mismatch" in said
    assert "SSL_CERT_FILE" not in said


def test_nothing_is_verified_where_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    met = through(monkeypatch, {}, authority.serving("elsewhere.example"), verify=False)
    assert met.reply.body == b"there"


def test_tls_to_a_port_without_tls_is_said_so() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(reply(status="400 Bad Request"))
        await writer.drain()

    async def main() -> NoReplyError:
        async with listen(talk) as server:
            with pytest.raises(NoReplyError) as error:
                await post(server.url.replace("http:", "https:"))
            return error.value

    error = asyncio.run(main())
    assert (error.kind, error.sent) == ("TLS", False)
    assert "this port may not speak TLS" in str(error)


@pytest.mark.parametrize("what", ["nowhere", "rubbish"])
def test_a_bundle_that_can_not_be_read_is_an_error_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    bundle = tmp_path / "ca.pem"
    if what == "rubbish":
        bundle.write_text("no certificate", "utf-8")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    ran = run_rows(tmp_path, "https://127.0.0.1:1/v1")
    assert ran.exit_code == 2
    assert str(ran.error).startswith(f"REQUESTS_CA_BUNDLE={bundle} can't be read as certificates: ")


def test_a_proxy_that_opens_tls_is_trusted_with_its_own_authority_and_only_then(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, other: Authority
) -> None:
    """The server's certificate is of `authority`; the proxy shows one of its own, of `other`, in its place."""
    given = {"HTTPS_PROXY": "http://PROXY", "SSL_CERT_FILE": str(other.file)}
    met = through(monkeypatch, given, authority.serving(), inner_tls=other.serving())
    assert met.reply.body == b"there"
    assert met.proxy.seen[0].line.startswith("CONNECT ")
    with pytest.raises(NoReplyError) as error:
        through(
            monkeypatch,
            {**given, "SSL_CERT_FILE": str(authority.file)},
            authority.serving(),
            inner_tls=other.serving(),
        )
    assert error.value.kind == "TLS"
    assert "SSL_CERT_FILE" in str(error.value)


def test_a_proxy_can_be_spoken_to_in_tls(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    given = {"ALL_PROXY": "https://PROXY", "SSL_CERT_FILE": str(authority.file)}
    met = through(monkeypatch, given, own_tls=authority.serving())
    assert (met.reply.body, len(met.proxy.seen)) == (b"there", 2)


def test_a_whole_run_works_behind_a_company_s_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, other: Authority
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(other.file))
    tls, inner = authority.serving(), other.serving()
    with (
        in_thread(lambda: serving(lambda _: reply(completion()), tls)) as server,
        in_thread(lambda: proxying(f"u:{PASSWORD}", inner)) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"http://u:{ENCODED}@127.0.0.1:{proxy.port}")
        ran = run_rows(tmp_path, f"{server.url}/v1", 6)
        assert len(server.seen) == 6
        assert {seen.line.split(" ")[0] for seen in proxy.seen} == {"CONNECT"}
    assert (ran.exit_code, ran.error) == (0, None)
