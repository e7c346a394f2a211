"""A key that must never be seen: looked for in every file, every line and every process, whatever the server echoes."""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from harness import HERE, write_rows
from processes import MAIN, environment, finish, syphus

from syphus.config.secrets import SecretRedactor
from syphus.ledger.sessions import sessions
from syphus.ledger.store import open_for_reading

CANARY = "sk-canary/7f3a+91-The.End_0123456789=="
PIECE = 12  #: characters of a form that is cut out of a longer text
RUN = Path("output", "Rows.rows", "v1")
ROWS = {
    "a": "the first row, answered",
    "b": "a secret in the answer",
    "c": "a secret in a broken answer",
    "d": "a secret in a 500",
    "e": "a secret in a 400",
    "f": "a secret in the headers of a 502",
    "g": "a secret as the name of a model",
    "h": "a secret in the last word, a 403",
}


def forms(secret: str) -> list[str]:
    """The secret in every form in which it may come back, also in the middle of something in base64."""
    coded = [base64.b64encode(f"{before}{secret}after".encode()).decode() for before in ("", "Bearer ", "user:", "12")]
    middles = [text[12 : 12 + PIECE + 4] for text in coded]
    return [secret, quote(secret, safe=""), quote(secret, safe="").replace("%2F", "%2f"), *middles]


def echo(headers: dict[str, str]) -> str:
    """What a talkative server knows of its client."""
    text = []
    for value in headers.values():
        word = value.rpartition(" ")[2]
        text += [value, quote(word, safe=""), base64.b64encode(word.encode()).decode()]
        text += [base64.b64encode(f"{before}{value}".encode()).decode() for before in ("", "1", "12")]
        if value.startswith("Basic "):
            text.append(base64.b64decode(word).decode())
    return " ".join(text)


@dataclass
class Talkative:
    """A server, and a proxy, that echoes every credential that it gets, in a way that the row asks for."""

    url: str = ""
    processes: list[str] = field(default_factory=list)  #: command lines, as anybody on the machine saw them
    given: set[str] = field(default_factory=set)  #: the credentials
    last: str = ""  #: the row from which on it refuses everybody

    def reply(self, text: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        said, more, model = echo(headers), {}, "echo"
        self.given |= set(headers.values())
        self.processes += [
            path.read_bytes().decode("utf-8", "replace") for path in Path("/proc").glob("[0-9]*/cmdline")
        ]
        self.last = self.last or (text if "last word" in text else "")
        text = self.last or text
        content, status = "Question: What is it?\nAnswer: A row.", 200
        if "secret in the answer" in text:
            content = f"Question: What is {said}?\nAnswer: It is {said}"
        elif "broken" in text:
            return 200, {"Content-Type": "text/html"}, f"<html>{said}</html>".encode()
        elif "model" in text:
            model = said
        elif "secret in" in text:
            status = int("".join(filter(str.isdigit, text)))
            more = {"Retry-After": "0.01", "x-echo": said} if status == 502 else {}
            error = {"message": f"Rejected: {said}", "type": said, "code": said if status == 500 else "forbidden"}
            return status, more, json.dumps({"error": error}).encode()
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return status, more, json.dumps({"id": "1", "model": model, "choices": [choice]}).encode()


@contextmanager
def talkative() -> Iterator[Talkative]:
    server = Talkative()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            names = ("authorization", "api-key", "proxy-authorization")
            headers = {name: self.headers[name] for name in names if self.headers[name]}
            status, more, reply = server.reply(body["messages"][-1]["content"], headers)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **more, "Content-Length": str(len(reply))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def azure(url: str, **more: object) -> dict[str, Any]:
    return {"kind": "azure", "base_url": url, "deployment": "chat", **more}


def ways(url: str) -> dict[str, tuple[dict[str, Any] | None, dict[str, str]]]:
    """The ways in which a secret reaches Syphus: a config, or none, and the environment."""
    old = {"OPENAI_API_TYPE": "azure", "OPENAI_API_BASE": url, "OPENAI_API_ENGINE": "chat", "OPENAI_API_VERSION": "v"}
    token = {"AZURE_OPENAI_ENDPOINT": url, "AZURE_OPENAI_DEPLOYMENT": "chat", "AZURE_OPENAI_AD_TOKEN": CANARY}
    proxy = {"HTTP_PROXY": f"http://user:{quote(CANARY, safe='')}@{url.removeprefix('http://')}"}
    return {
        "environment": (None, {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": CANARY, "OPENAI_LOG": "debug"}),
        "variable": ({"base_url": f"{url}/v1", "api_key": "${MY_KEY}"}, {"MY_KEY": CANARY}),
        "old azure key": (None, {**old, "OPENAI_API_KEY": CANARY}),
        "azure key": (azure(url, api_key="${MY_KEY}"), {"MY_KEY": CANARY}),
        "entra token": (None, token),
        "entra command": (azure(url, token_command=["printenv", "MY_TOKEN"]), {"MY_TOKEN": CANARY}),
        "proxy": ({"base_url": "http://api.example.test/v1", "api_key": "nobody"}, proxy),
    }


def run(folder: Path, endpoint: dict[str, Any] | None, environ: dict[str, str], looks: bool) -> tuple[int, str]:
    """Runs the job, and `looks` at it in every way; returns the exit code and everything that was printed."""
    rows = write_rows(folder / "rows.jsonl", ROWS)
    config = {"model": "chat", "first_wait": 0.01, "max_attempts": 2, **({"endpoint": endpoint} if endpoint else {})}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    plugin = ["--name", "Rows.rows", "-in", str(rows), "--datasets-dir", str(HERE / "plugins")]
    how = ["--config", str(folder / "config.json"), "--num_threads", "1", "--json"]
    commands = [[*plugin, *how]]
    if looks:
        commands += [["status", str(RUN)], ["status", str(RUN), "--json"], ["preview", *plugin, *how[:-1]]]
        commands += [["status", str(RUN), "--query", name] for name in "bd"]
    job = finish([sys.executable, str(MAIN), *commands[0]], folder, env=environment(**environ))
    ended = [job, *(syphus(folder, *each, env=environment(**environ)) for each in commands[1:])]
    assert [each.returncode for each in ended[1:]] == [0] * len(ended[1:])
    return ended[0].returncode, "".join(each.stdout + each.stderr for each in ended)


@pytest.mark.parametrize("way", ways(""))
def test_no_secret_gets_out_whatever_the_server_echoes(tmp_path: Path, way: str) -> None:
    with talkative() as server:
        code, printed = run(tmp_path, *ways(server.url)[way], looks=way in ("environment", "proxy"))
    assert code == 3
    credentials = " ".join(server.given) + "".join(
        base64.b64decode(g[6:]).decode() for g in server.given if g[:6] == "Basic "
    )
    assert CANARY in credentials  # the run did use it, and the server did echo it
    assert "[secret]" in printed
    for place, text in [("printed", printed), ("processes", "\n".join(server.processes)), *files(tmp_path)]:
        assert [form for form in forms(CANARY) if form in text] == [], place
    assert "[secret]" in (tmp_path / RUN / "pairs.jsonl").read_text("utf-8")
    store = open_for_reading(tmp_path / RUN)
    assert "[secret]" in sessions(store, "generate")[0].stopped
    store.close()


def files(folder: Path) -> list[tuple[str, str]]:
    return [(path.name, path.read_bytes().decode("utf-8", "replace")) for path in folder.rglob("*") if path.is_file()]


def test_a_secret_in_a_proxy_address_that_is_wrong_is_not_shown(tmp_path: Path) -> None:
    for proxy in (
        f"user:{CANARY}@127.0.0.1:9",
        f"http://user:{CANARY}@127.0.0.1:nine",
        f"nonsense://u:{CANARY}@host:9",
    ):
        environ = {"OPENAI_BASE_URL": "http://api.example.test/v1", "OPENAI_API_KEY": "sk-x", "HTTP_PROXY": proxy}
        rows = write_rows(tmp_path / "rows.jsonl", 1)
        plugin = ["--name", "Rows.rows", "-in", str(rows), "--datasets-dir", str(HERE / "plugins"), "--model", "m"]
        ended = syphus(tmp_path, *plugin, env=environment(**environ))
        assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
        for place, text in [("printed", ended.stderr), *files(tmp_path)]:
            assert [form for form in forms(CANARY) if form in text] == [], place


MISTAKES = {
    "syntax": "model: m\nendpoint: {api_key: " + CANARY + "\n",
    "unknown setting": f"model: m\nendpoint: {{api_key: '{CANARY}', apikey: '{CANARY}'}}\n",
    "wrong type": f"model: m\nendpoint: {{api_key: ['{CANARY}']}}\n",
    "base_url": f"model: m\nendpoint: {{base_url: 'https://user:{CANARY}@host/v1'}}\n",
    "missing variable": f"model: m\nendpoint: {{api_key: '{CANARY}${{MISSING}}'}}\n",
}


@pytest.mark.parametrize("config", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_config_is_reported_without_its_secrets(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.yaml").write_text(config, "utf-8")
    rows = write_rows(tmp_path / "rows.jsonl", 1)
    plugin = ["--name", "Rows.rows", "-in", str(rows), "--datasets-dir", str(HERE / "plugins")]
    ended = syphus(tmp_path, *plugin, "--config", "config.yaml")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert CANARY not in ended.stderr


def test_a_key_on_the_command_line_is_refused(tmp_path: Path) -> None:
    given = CANARY[::-1]  # another one, for a test beside this one reads the command lines of all processes
    ended = finish([sys.executable, str(MAIN), "--name", "Rows.rows", "--api-key", given], tmp_path)
    assert (ended.returncode, given in ended.stderr) == (2, False)


# The filter alone


@pytest.mark.parametrize("secret", [CANARY, "0123456789abcdef0123456789abcdef", 'a"b\\c/d+é-0123456789'])
def test_a_secret_is_blanked_in_every_form(secret: str) -> None:
    redactor = SecretRedactor()
    redactor.keep("")
    redactor.keep(secret)
    shown = [
        secret,
        quote(secret, safe=""),
        re.sub("%..", lambda escape: escape[0].lower(), quote(secret, safe="")),
        json.dumps(secret)[1:-1],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        base64.b64encode(secret.encode()).decode(),
        base64.urlsafe_b64encode(secret.encode()).decode(),
    ]
    for form in shown:
        assert redactor.scrub(f"before {form}, after {form}") == "before [secret], after [secret]"
        assert redactor.scrub_error(f"<{form}>".encode()) == b"<[secret]>"
        assert redactor.scrub_answer(f"<{form}>".encode()) == b"<[secret]>"


@pytest.mark.parametrize("before", ["", "1", "12", "Bearer ", "user:"])
def test_a_secret_within_something_in_base64_is_blanked(before: str) -> None:
    redactor = SecretRedactor()
    redactor.keep(CANARY)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        scrubbed = redactor.scrub(encode(f"{before}{CANARY}!".encode()).decode())
        assert "[secret]" in scrubbed
        assert len(scrubbed.replace("[secret]", "")) <= 4 * (len(before) + 3) / 3 + 4


def test_the_longest_of_several_secrets_goes_first() -> None:
    redactor = SecretRedactor()
    redactor.keep("secret-one")
    redactor.keep("secret-one-and-more")
    assert redactor.scrub("secret-one-and-more, secret-one") == "[secret], [secret]"


def test_keys_that_are_ordinary_words_stay_in_answers() -> None:
    redactor = SecretRedactor()
    for word in ("none", "x", "EMPTY", "ollama"):
        redactor.keep(word)
    assert redactor.scrub("none of the EMPTY boxes") == "none of the EMPTY boxes"
    assert redactor.scrub_answer(b"ollama is a word") == b"ollama is a word"
    assert redactor.scrub_error(b"wrong key: ollama") == b"wrong key: [secret]"


@pytest.mark.parametrize(
    "spell", [lambda c: f"\\u{ord(c):04x}", lambda c: f"\\u{ord(c):04X}", lambda c: f"%{ord(c):02X}"]
)
def test_a_secret_is_blanked_however_its_letters_are_spelt(spell: Callable[[str], str]) -> None:
    redactor = SecretRedactor()
    redactor.keep(CANARY)
    for spelt in ("".join(map(spell, CANARY)), "".join(c if c.isalnum() else spell(c) for c in CANARY)):
        assert redactor.scrub(f"key {spelt}, wrong") == "key [secret], wrong"
        assert redactor.scrub_error(f'{{"a": "{spelt}"}}'.encode()) == b'{"a": "[secret]"}'
        assert redactor.scrub_answer(f'{{"a": "{spelt}"}}'.encode()) == b'{"a": "[secret]"}'


def test_an_answer_without_a_secret_stays_as_it_came() -> None:
    redactor = SecretRedactor()
    redactor.keep(CANARY)
    for body in (b'{"a": "\\u0041 50% \\\\u0042 %41"}', b"\xff\xfe %zz \\u00"):
        assert redactor.scrub_answer(body) == body
