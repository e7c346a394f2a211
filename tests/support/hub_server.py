"""A Hugging Face Hub on loopback, as far as `push` and `hf://` need one: repositories, commits, large files by LFS.

Routes and shapes are those that `huggingface_hub` asks for and reads (its `hf_api.py`, `_commit_api.py` and `lfs.py`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote

TOKEN = "hf_canary0123456789abcdefghijklmnopq"


@dataclass
class Hub:
    """What it holds. Only `USER` may be written to; of large files, the upload of `held` does not end by itself."""

    url: str = ""
    repos: dict[str, bool] = field(default_factory=dict)  # private?
    files: dict[str, bytes] = field(default_factory=dict)  # of the one repository, on its branch "main"
    objects: dict[str, bytes] = field(default_factory=dict)  # by SHA-256
    uploads: list[str] = field(default_factory=list)  # the SHA-256 of each that came whole
    commits: list[list[str]] = field(default_factory=list)  # the paths in each
    requests: list[str] = field(default_factory=list)
    held: str = ""
    bad_card: str = ""  # why it refuses every card
    refused: dict[str, int] = field(default_factory=dict)  # the status of requests that it refuses
    busy: dict[str, int] = field(default_factory=dict)  # requests that are still answered with 429
    holding: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for_uploads(self, count: int) -> bool:
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.uploads) >= count, 20)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self._answer("GET", b"")

    def do_POST(self) -> None:
        self._answer("POST", self._body())

    def do_PUT(self) -> None:
        sha = self.path.rpartition("/")[2]
        if sha == self.hub.held:
            self.hub.holding.set()
            self.hub.let_go.wait(30)
        data = self._body()
        if hashlib.sha256(data).hexdigest() == sha:
            with self.hub.arrived:
                self.hub.objects[sha] = data
                self.hub.uploads.append(sha)
                self.hub.arrived.notify_all()
        self._send(200, {})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, method: str, body: bytes) -> None:
        hub, path = self.hub, unquote(self.path.partition("?")[0])
        hub.requests.append(f"{method} {path}")
        if hub.busy.get(f"{method} {path}"):
            hub.busy[f"{method} {path}"] -= 1
            self._send(429, {"error": "Too many requests"}, retry_after="0.01")
            return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": f"Invalid token {self.headers.get('Authorization')}"})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif status := hub.refused.get(f"{method} {path}"):
            self._send(status, {"error": "This is refused"})
        elif path == "/api/validate-yaml" and hub.bad_card:
            self._send(400, {"errors": [{"message": hub.bad_card}], "warnings": []})
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif path.endswith("/info/lfs/objects/batch"):
            self._send(
                200, {"transfer": "basic", "objects": [self._object(one) for one in json.loads(body)["objects"]]}
            )
        elif not path.startswith("/api/"):
            self._download(path.rpartition("/resolve/main/")[2])
        else:
            self._repository(path.removeprefix("/api/datasets/").split("/"), body)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] != "USER":
            self._send(403, {"error": "You don't have the rights to create a dataset under this namespace"})
        elif name in self.hub.repos:
            self._send(
                409, {"error": "You already created this dataset repo", "url": f"{self.hub.url}/datasets/{name}"}
            )
        else:
            self.hub.repos[name] = wanted.get("visibility") == "private" or wanted.get("private", False)
            self._send(200, {"url": f"{self.hub.url}/datasets/{name}"})

    def _repository(self, parts: list[str], body: bytes) -> None:
        name, route = "/".join(parts[:2]), parts[2:]
        if name not in self.hub.repos:
            self._send(404, {"error": "Repository not found"}, "RepoNotFound")
        elif len(route) > 1 and route[1] != "main":
            self._send(404, {"error": "Invalid rev id"}, "RevisionNotFound")
        elif not route:
            self._send(200, {"id": name, "private": self.hub.repos[name], "sha": "0" * 40, "siblings": [], "tags": []})
        elif route[0] == "tree":
            self._list("/".join(route[2:]))
        elif route[0] == "paths-info":
            paths = parse_qs(body.decode())["paths"]
            self._send(200, [self._file(path) for path in paths if path in self.hub.files])
        elif route[0] == "preupload":
            self._send(200, {"files": [self._mode(one["path"]) for one in json.loads(body)["files"]]})
        elif route[0] == "commit":
            self._commit(name, [json.loads(line) for line in body.splitlines()])

    def _list(self, folder: str) -> None:
        """What is in a folder; all files are in one folder or in none."""
        below = [path for path in sorted(self.hub.files) if path.startswith(folder)]
        if not below:
            self._send(404, {"error": f"{folder} does not exist"}, "EntryNotFound")
            return
        folders = {path.partition("/")[0] for path in below if "/" in path and not folder}
        entries = [{"type": "directory", "path": name, "oid": "0" * 40} for name in sorted(folders)]
        self._send(200, entries + [self._file(path) for path in below if not folders])

    def _download(self, path: str) -> None:
        data = self.hub.files[path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _file(self, path: str) -> dict[str, Any]:
        data = self.hub.files[path]
        named = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 1}
        large = {} if path.endswith(".md") else {"lfs": lfs}
        return {"type": "file", "path": path, "size": len(data), "oid": named, **large}

    def _mode(self, path: str) -> dict[str, Any]:
        return {"path": path, "uploadMode": "regular" if path.endswith(".md") else "lfs", "shouldIgnore": False}

    def _object(self, wanted: dict[str, Any]) -> dict[str, Any]:
        sha = wanted["oid"]
        upload = {"actions": {"upload": {"href": f"{self.hub.url}/lfs/{sha}"}}}
        return {"oid": sha, "size": wanted["size"], **({} if sha in self.hub.objects else upload)}

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        added = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                added[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                added[value["path"]] = self.hub.objects[value["oid"]]
        self.hub.files.update(added)
        self.hub.commits.append(sorted(added))
        oid = f"{len(self.hub.commits):040}"
        self._send(200, {"commitUrl": f"{self.hub.url}/datasets/{name}/commit/{oid}", "commitOid": oid})

    def _send(self, status: int, value: object, code: str = "", retry_after: str = "") -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        with suppress(OSError):  # who asked may have been killed
            self.end_headers()
            self.wfile.write(body)


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A Hub in threads, without a repository."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            hub.let_go.set()
            server.shutdown()
            thread.join()
