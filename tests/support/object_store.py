"""A real server that speaks S3, on loopback, for a module of tests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

BUCKET = "bucket"


class ObjectStore:
    """What tests do with the store besides the code under test. Keys are in the bucket `BUCKET`."""

    def __init__(self, endpoint: str, files: Any) -> None:
        self.endpoint = endpoint
        self._files = files  # s3fs, which has no types

    def url(self, key: str) -> str:
        return f"s3://{BUCKET}/{key}"

    def put(self, key: str, data: bytes | str) -> str:
        self._files.pipe_file(f"{BUCKET}/{key}", data if isinstance(data, bytes) else data.encode())
        return self.url(key)

    def put_all(self, files: Mapping[str, bytes | str]) -> None:
        for key, data in files.items():
            self.put(key, data)

    def get(self, key: str) -> bytes:
        content: bytes = self._files.cat_file(f"{BUCKET}/{key}")
        return content

    def json(self, key: str) -> Any:
        return json.loads(self.get(key))

    def remove(self, key: str) -> None:
        self._files.rm_file(f"{BUCKET}/{key}")

    def keys(self, prefix: str = "") -> list[str]:
        self._files.invalidate_cache()
        found = self._files.find(f"{BUCKET}/{prefix}".rstrip("/"))
        return sorted(name.removeprefix(f"{BUCKET}/") for name in found)


@contextmanager
def object_store(cache: Path) -> Iterator[ObjectStore]:
    """A server with an empty bucket, and an environment that leads to it; copies go into `cache`."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        with leading_to(endpoint, cache):
            import s3fs

            with urlopen(Request(f"{endpoint}/moto-api/reset", method="POST")):  # it keeps buckets in the process
                files = s3fs.S3FileSystem()
            files.mkdir(BUCKET)
            yield ObjectStore(endpoint, files)
    finally:
        server.stop()


class _Denied(BaseHTTPRequestHandler):
    """Answers as S3 does to a key without rights."""

    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - their names are those of the methods

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def denying_store(cache: Path) -> Iterator[None]:
    """A server of S3 that gives its user no right to anything, and an environment that leads to it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Denied) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with leading_to(f"http://127.0.0.1:{server.server_port}", cache):
                yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def leading_to(endpoint: str, cache: Path) -> Iterator[None]:
    """An environment in which a server is the store, and `cache` the folder of copies."""
    import s3fs

    own = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SYPHUS_CACHE": str(cache),
    }
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        yield
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
