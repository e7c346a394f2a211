"""Who may talk to the viewer, what it says of runs, how it begins and ends: the real server, and the real command."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from harness import run_rows, server
from processes import MAIN, AnyProcess, environment, start
from viewing import TOKEN, Viewing, viewing

from syphus.errors import RunError
from syphus.ledger.store import FILE
from syphus.viewer.run_list import RunList

OWN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewing]:
    folder = tmp_path_factory.mktemp("served")
    with server() as running:
        run_rows(folder, running.url, 4)
    with viewing(folder / "output", cache=folder / "cache") as running_viewer:
        yield running_viewer


# Who may talk to it


def test_the_printed_address_gives_a_cookie_and_hides_the_token(seen: Viewing) -> None:
    reply = seen.send("GET", f"/?token={TOKEN}")
    assert (reply.status, reply.headers["Location"]) == (303, "/")
    cookie = reply.headers["Set-Cookie"]
    assert cookie.startswith(f"syphus-{seen.port}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert seen.send("GET", "/", headers={"Cookie": cookie.partition(";")[0]}).status == 200


def test_a_link_of_another_page_gets_in_without_a_redirect(seen: Viewing) -> None:
    reply = seen.send("GET", f"/?token={TOKEN}", headers={"Sec-Fetch-Site": "cross-site"})
    assert reply.status == 200
    assert b"http-equiv=refresh" in reply.body
    assert TOKEN.encode() not in reply.body


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Cookie": f"syphus-1={TOKEN}"},
     {"Authorization": "Bearer \u00e9"}, {"Cookie": "syphus-0="}],
)  # fmt: skip
def test_nobody_gets_in_without_the_token(seen: Viewing, headers: dict[str, str]) -> None:
    for path in ("/api/runs", "/", "/static/app.js", f"/api/runs/{seen.key}/overview", "/metrics", "/?token=wrong"):
        reply = seen.send("GET", path, headers=headers)
        assert reply.status == 401, path
        assert b"kettle" not in reply.body


def test_the_token_in_an_address_opens_no_data(seen: Viewing) -> None:
    assert seen.send("GET", f"/api/runs?token={TOKEN}").status == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example:{port}", "", "[::1",
     "127.0.0.1@evil.example", "169.254.169.254"],
)  # fmt: skip
def test_a_name_that_was_bound_to_this_machine_is_refused(seen: Viewing, host: str) -> None:
    reply = seen.send("GET", "/api/runs", headers={**OWN, "Host": host.format(port=seen.port)})
    assert reply.status in (400, 403)
    assert b"runs" not in reply.body


@pytest.mark.parametrize("host", ["localhost:{port}", "LOCALHOST:{port}", "127.0.0.1:9000", "[::1]:{port}"])
def test_the_names_of_this_machine_are_known_also_through_a_tunnel(seen: Viewing, host: str) -> None:
    assert seen.send("GET", "/api/runs", headers={**OWN, "Host": host.format(port=seen.port)}).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403), ({"Content-Type": "text/plain"}, 415),
     ({"Content-Type": "application/x-www-form-urlencoded"}, 415), ({"X-Syphus": "0"}, 403),
     ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403)],
)  # fmt: skip
def test_a_page_of_another_site_changes_nothing(seen: Viewing, headers: dict[str, str], status: int) -> None:
    assert seen.post(f"/api/runs/{seen.key}/reviews", {}, **headers).status == status


def test_a_change_needs_the_token_too(seen: Viewing) -> None:
    assert seen.post(f"/api/runs/{seen.key}/reviews", {}, Authorization="").status == 401


def test_every_reply_has_the_headers_that_keep_scripts_out(seen: Viewing) -> None:
    for path in ("/", "/api/runs", "/nothing", "/static/style.css", "/api/runs/00000000/overview"):
        for headers in (OWN, {}):
            reply = seen.send("GET", path, headers=headers)
            policy = reply.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["Referrer-Policy"] == "no-referrer"
            assert reply.headers["Cache-Control"] == "no-store"
            assert "aiohttp" not in reply.headers["Server"]


@pytest.mark.parametrize(
    "path",
    ["/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/server.py", "/static//etc/passwd",
     "/static/pages/../../server.py", "/runs/../../etc/passwd", "/static/..%5cserver.py", "/static/app.js%00.css"],
)  # fmt: skip
def test_no_address_leads_out_of_the_pages(seen: Viewing, path: str) -> None:
    reply = seen.get(path)
    assert reply.status == 404
    assert b"import" not in reply.body
    assert b"root:" not in reply.body


def test_header_lines_cannot_be_added(seen: Viewing) -> None:
    reply = seen.get("/api/runs/%0d%0aSet-Cookie:%20a=b/overview")
    assert reply.status == 404
    assert "Set-Cookie" not in reply.headers
    assert "Set-Cookie" not in seen.send("GET", "/?token=%0d%0aSet-Cookie:%20a=b").headers


def test_a_body_that_is_too_large_or_no_object_is_refused(seen: Viewing) -> None:
    assert seen.post(f"/api/runs/{seen.key}/overview", []).status in (404, 405)
    assert (
        seen.send("PUT", "/api/runs", b"{}", {**OWN, "Content-Type": "application/json", "X-Syphus": "1"}).status == 405
    )


# Runs


@pytest.mark.parametrize("request_line", [b"GET /" + b"a" * 20_000, b"\x16\x03\x01 x", b"GET / HTTP/9.9.9"])
def test_what_is_no_request_leaves_nothing_on_the_terminal(
    seen: Viewing, request_line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", seen.port), timeout=20) as connection:
        connection.sendall(request_line + b"\r\n\r\n")
        assert b" 400 " in connection.recv(4096)
    assert not caplog.records


def test_runs_are_listed_with_their_numbers(seen: Viewing) -> None:
    (run,) = seen.get("/api/runs").json["runs"]
    assert (run["name"], run["state"], run["total"]) == ("Rows.rows/v1", "complete", 4)
    assert sum(run["counts"].values()) == 4
    assert re.fullmatch(r"[0-9a-f]{8}", run["key"])
    overview = seen.api("overview")
    assert overview["counts"] == run["counts"]
    assert overview["tokens"]["input"] > 0
    assert overview["prompt"]["system"]
    assert overview["sessions"][0]["ended"] is not None


def test_no_secret_and_no_place_of_the_machine_is_shown(seen: Viewing) -> None:
    folder = str(seen.viewer.runs.all()[0].folder)
    for path in ("overview", "queries", "queries/1"):
        body = seen.get(f"/api/runs/{seen.key}/{path}").body.decode()
        assert "sk-canary" not in body
        assert TOKEN not in body
        assert folder not in body


def test_new_runs_appear_and_damaged_ones_are_named(seen: Viewing, tmp_path: Path) -> None:
    with server() as running:
        first = run_rows(tmp_path, running.url, 2)
        runs = RunList([tmp_path / "output"])
        assert len(runs.all()) == 1
        (tmp_path / "output" / "Other" / "v1").mkdir(parents=True)
        (tmp_path / "output" / "Other" / "v1" / FILE).write_bytes(b"no ledger at all" * 100)
    with viewing(tmp_path / "output", cache=tmp_path / "cache") as other:
        states = {run["name"]: run["state"] for run in other.get("/api/runs").json["runs"]}
    assert states == {"Rows.rows/v1": "complete", "Other/v1": "unreadable"}
    assert first.exit_code == 0


def test_two_folders_with_runs_of_one_name_are_two_runs(tmp_path: Path) -> None:
    with server() as running:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            run_rows(tmp_path / name, running.url, 1)
    runs = RunList([tmp_path / "a" / "output", tmp_path / "b" / "output"]).all()
    assert len({run.key for run in runs}) == 2
    assert len({run.folder for run in runs}) == 2


def test_a_folder_without_runs_or_with_a_newer_ledger_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run here or below"):
        RunList([tmp_path]).check()
    with pytest.raises(RunError, match="no such folder"):
        RunList([tmp_path / "nothing"]).check()
    with server() as running:
        ran = run_rows(tmp_path, running.url, 1)
    with sqlite3.connect(ran.folder / FILE) as ledger:
        ledger.execute("UPDATE meta SET value = 99 WHERE name = 'format'")
    ledger.close()
    with pytest.raises(RunError, match="newer format 99"):
        RunList([ran.folder]).check()


# Events


def events(seen: Viewing, count: int) -> list[str]:
    """The first lines of the events of the only run."""
    connection = HTTPConnection("127.0.0.1", seen.port, timeout=20)
    connection.request("GET", f"/api/runs/{seen.key}/events", headers=OWN)
    response = connection.getresponse()
    assert response.status == 200
    lines: list[str] = []
    while len(lines) < count:
        line = response.readline().decode().rstrip()
        if line and not line.startswith("retry"):
            lines.append(line)
    connection.close()
    return lines


def test_events_have_the_numbers_and_what_others_send(seen: Viewing) -> None:
    name, data = events(seen, 2)
    assert name == "event: overview"
    assert json.loads(data.removeprefix("data: "))["total"] == 4


def open_stream(seen: Viewing) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", seen.port))
    head = f"GET /api/runs/{seen.key}/events HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {TOKEN}", "", ""
    connection.sendall("\r\n".join(head).encode())
    return connection


def test_streams_are_limited_and_a_page_that_leaves_frees_its_place(seen: Viewing) -> None:
    opened = []
    for _ in range(70):
        opened.append(open_stream(seen))
    statuses = [connection.recv(15)[9:12] for connection in opened]
    assert statuses.count(b"200") == 64
    assert statuses.count(b"503") == 6
    for connection in opened:
        leave(connection)
    with closing(open_stream(seen)) as connection:
        assert connection.recv(15)[9:12] == b"200"


def leave(connection: socket.socket) -> None:
    """Ends a connection, and waits until the server has let go of it."""
    with connection, suppress(OSError):  # that it has refused already
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


def test_connections_are_limited_and_their_end_makes_room(seen: Viewing) -> None:
    opened: list[socket.socket] = []
    with suppress(ConnectionError):
        while len(opened) < 300:
            count = 50 if len(opened) < 250 else 1
            opened += [socket.create_connection(("127.0.0.1", seen.port)) for _ in range(count)]
            assert seen.get("/api/runs").status == 200  # so it has accepted all before
    assert 250 <= len(opened) <= 257
    for connection in opened:
        leave(connection)
    assert seen.get("/api/runs").status == 200


# The command


def view(folder: Path, *options: str) -> AbstractContextManager[AnyProcess]:
    command = [sys.executable, str(MAIN), "view", "output", "--no-browser", *options]
    return start(command, folder, env=environment(XDG_CACHE_HOME=str(folder / "cache")))


def test_the_command_prints_its_address_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with server() as running:
        run_rows(tmp_path, running.url, 1)
    with view(tmp_path, "--port", "0") as process:
        assert process.stdout is not None
        found = re.match(r"http://127\.0\.0\.1:(\d+)/\?token=[\w-]{32}  stop with Ctrl-C\n", process.stdout.readline())
        assert found
        with view(tmp_path, "--port", found[1]) as taken:
            _, said = taken.communicate(timeout=60)
        assert taken.returncode == 2
        assert said.splitlines() == [
            f"Port {found[1]} of 127.0.0.1 can't be used (address already in use). Choose another with --port."
        ]
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=60)
        assert (process.returncode, out, said) == (0, "", "")
