"""Bodies as gateways deliver them: packed or not, with comment lines, as streams. Real servers, over both clients."""

from __future__ import annotations

import asyncio
import codecs
import gzip
import json
import zlib
from collections.abc import Mapping

import pytest
from harness import KEY
from wire import completion, listen, read_request, reply, serving

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.chat_reply import classify_chat_reply
from syphus.endpoints.classify import Action
from syphus.endpoints.connections import NoReplyError, Reply
from syphus.endpoints.remote_endpoint import RemoteEndpoint
from syphus.endpoints.transport import MAX_UNCHUNKED_BYTES

BODY = completion("Ein Vogel: größer als ☃.\nQuestion: data: [DONE] ?")
TEXT = json.loads(BODY)["choices"][0]["message"]["content"]
SMALL, LARGE = b"{}", b"[" + b" " * MAX_UNCHUNKED_BYTES + b"]"  # a large request goes over the other client


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def replied(said: bytes, request: bytes = SMALL) -> Reply:
    """Return an endpoint's reply to a request if the server sends just these bytes."""

    async def main() -> Reply:
        async with serving(lambda _: said) as wire:
            config = EndpointConfig.model_validate({"base_url": f"{wire.url}/v1", "api_key": KEY})
            redactor = SecretRedactor([KEY])
            endpoint = RemoteEndpoint(config, 2, redactor)
            try:
                return await endpoint.send(request)
            finally:
                await endpoint.close()

    return asyncio.run(main())


def answer(body: bytes, headers: Mapping[str, str] | None = None, request: bytes = SMALL) -> str:
    """Return the text that is read from a body."""
    found = replied(reply(body, headers=headers), request)
    verdict = classify_chat_reply(found.body, 100, found.headers)
    assert verdict.action is Action.ANSWER, (verdict.cause, verdict.message)
    assert verdict.completion is not None
    return verdict.completion.text


def encoding(name: str) -> dict[str, str]:
    return {"Content-Encoding": name}


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKED = {
    "gzip": (gzip.compress(BODY), encoding("gzip")),
    "its older name, in capitals": (gzip.compress(BODY), encoding("X-GZIP")),
    "zlib": (zlib.compress(BODY), encoding("deflate")),
    "deflate without a head": (raw_deflate(BODY), encoding("deflate")),
    "twice": (gzip.compress(gzip.compress(BODY)), encoding("gzip, gzip")),
    "deflate, then gzip": (gzip.compress(zlib.compress(BODY)), encoding("deflate, gzip")),
    "several members": (gzip.compress(BODY[:50]) + gzip.compress(BODY[50:]), encoding("gzip")),
    "nothing": (BODY, encoding("identity")),
    # named, and not used
    "gzip in name only": (BODY, encoding("gzip")),
    "deflate in name only": (BODY, encoding("deflate")),
    "brotli in name only": (BODY, encoding("br")),
    "zstd in name only": (BODY, encoding("zstd")),
    "a charset for an encoding": (BODY, encoding("utf-8")),
    "aws-chunked": (BODY, encoding("aws-chunked")),
    "two names, one used": (gzip.compress(BODY), encoding("gzip, gzip")),
    "one name for another": (zlib.compress(BODY), encoding("gzip")),
    "gzip for deflate": (gzip.compress(BODY), encoding("deflate")),
    # used, and not named
    "gzip without a header": (gzip.compress(BODY), {}),
    "zlib without a header": (zlib.compress(BODY), {}),
    "gzip as a type": (gzip.compress(BODY), {"Content-Type": "application/gzip"}),
    "gzip called brotli": (gzip.compress(BODY), encoding("br")),
}


@pytest.mark.parametrize("request_body", [SMALL, LARGE], ids=["ours", "aiohttp"])
@pytest.mark.parametrize(("body", "headers"), PACKED.values(), ids=PACKED)
def test_what_the_bytes_are_decides_how_they_are_unpacked(
    body: bytes, headers: dict[str, str], request_body: bytes
) -> None:
    assert answer(body, headers, request_body) == TEXT


@pytest.mark.parametrize("request_body", [SMALL, LARGE], ids=["ours", "aiohttp"])
@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"\x1b\x0f\x00\xf8\xa5", encoding("br"), "the reply is compressed with br, which was not asked for"),
        (b"\x28\xb5\x2f\xfd\x04\x00", encoding("zstd"), "the reply is compressed with zstd, which was not asked for"),
        (b"\x28\xb5\x2f\xfd\x04\x00", {}, "the reply is compressed with zstd, which was not asked for"),
        (
            b"\xff\xfe\xfd\x00\x01",
            encoding("gzip"),
            "the reply says gzip in its header, and its body is something else",
        ),
        (b"\x1f\x8b\x08\x00damaged, quite", encoding("gzip"), "the reply is compressed, and damaged"),
    ],
)
def test_what_can_not_be_unpacked_is_named(
    body: bytes, headers: dict[str, str], said: str, request_body: bytes
) -> None:
    with pytest.raises(NoReplyError) as error:
        replied(reply(body, headers=headers), request_body)
    assert str(error.value) == f"unreadable body: {said}; look at the proxy or gateway before the server"
    assert error.value.sent


def test_an_error_that_can_not_be_unpacked_keeps_its_status() -> None:
    found = replied(reply(b"\x1b\x0f\x00\xf8\xa5", "401 Unauthorized", encoding("br")))
    assert found.status == 401
    assert b"compressed with br" in found.body


def test_a_key_in_a_packed_error_is_redacted() -> None:
    found = replied(reply(gzip.compress(f'{{"message": "bad {KEY}"}}'.encode()), "401 Unauthorized"))
    assert found.body == b'{"message": "bad [secret]"}'


def chunks(*texts: str, finish: str | None = "stop", usage: bool = True) -> list[dict[str, object]]:
    """The chunks of a streamed answer, as OpenAI sends them."""
    common: dict[str, object] = {"id": "c-1", "object": "chat.completion.chunk", "model": "m"}
    made = [{**common, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}]
    made += [{**common, "choices": [{"index": 0, "delta": {"content": t}, "finish_reason": None}]} for t in texts]
    if finish:
        made.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        made.append({**common, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
    return made


def stream(events: list[dict[str, object]], end: str = "\n\n", done: bool = True, lead: str = "data: ") -> bytes:
    lines = [*(lead + json.dumps(event, ensure_ascii=False) for event in events), *(["data: [DONE]"] * done)]
    return "".join(line + end for line in lines).encode()


PIECES = (TEXT[:3], TEXT[3:9], TEXT[9:])
ODD = {
    "comments before it": b": OPENROUTER PROCESSING\n\n" * 3 + BODY,
    "comments with carriage returns": b": keep-alive\r\n\r\n:\r\n" + BODY,
    "comments after it": BODY + b"\n\n: done\n",
    "comments around it": b":\n\n" + BODY + b"\n\n: x\n\ndata: [DONE]\n\n",
    "blanks": b"\r\n\n   \t" + BODY + b"\n \n",
    "a mark": codecs.BOM_UTF8 + BODY,
    "two marks behind blanks": b"\n" + codecs.BOM_UTF8 + codecs.BOM_UTF8 + b" " + BODY,
    "a mark before comments": codecs.BOM_UTF8 + b": PROCESSING\n" + BODY,
    "comments before a mark": b": PROCESSING\n\n" + codecs.BOM_UTF8 + BODY,
    "UTF-16 with a mark": BODY.decode().encode("utf-16"),
    "UTF-16 without": BODY.decode().encode("utf-16-le"),
    "UTF-32": BODY.decode().encode("utf-32"),
    "printed in lines": json.dumps(json.loads(BODY), indent=2, ensure_ascii=False).encode() + b"\r\n",
    "a stream": stream(chunks(*PIECES)),
    "a stream with carriage returns": stream(chunks(*PIECES), "\r\n\r\n"),
    "a stream without blank lines": stream(chunks(*PIECES), "\n"),
    "a stream without spaces": stream(chunks(*PIECES), lead="data:"),
    "a stream without its last line": stream(chunks(*PIECES), done=False),
    "a stream with no reason": stream(chunks(*PIECES, finish=None)),
    "a stream with comments, names and numbers": b": hi\n\nretry: 3000\n\n"
    + stream(chunks(*PIECES), lead="event: message\nid: 7\ndata: ").replace(b"event", b": hello\n\nevent", 2),
    "a stream of one event, which is the answer": b"data: " + BODY + b"\n\ndata: [DONE]\n\n",
    "chunks on lines": stream(chunks(*PIECES), "\n", done=False, lead=""),
    "one chunk": json.dumps(
        chunks(TEXT, usage=False)[1] | {"choices": [{"delta": {"content": TEXT}, "finish_reason": "stop"}]}
    ).encode(),
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_the_answer_in_an_odd_body_is_read(body: bytes) -> None:
    assert answer(body) == TEXT


def test_a_stream_keeps_what_else_it_says() -> None:
    events = chunks("yes", finish="length")
    events[1]["choices"] = [
        {"index": 0, "delta": {"reasoning_content": "a "}},
        {"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"},
    ]
    events[2]["choices"] = [
        {"index": 0, "delta": {"reasoning_content": "b", "content": "yes"}, "finish_reason": "length"}
    ]
    read = json.loads(replied(reply(stream(events))).body)
    assert read["usage"] == {"prompt_tokens": 7, "completion_tokens": 5}
    assert [choice["finish_reason"] for choice in read["choices"]] == ["length", "stop"]
    assert read["choices"][0]["message"] == {"role": "assistant", "content": "yes", "reasoning_content": "a b"}
    assert (read["id"], read["model"], read["object"]) == ("c-1", "m", "chat.completion")


def test_an_error_in_a_stream_is_that_error() -> None:
    body = stream(chunks("yes", finish=None, usage=False), done=False) + b'data: {"error": {"message": "no room"}}\n\n'
    assert json.loads(replied(reply(body)).body) == {"error": {"message": "no room"}}


@pytest.mark.parametrize(
    "body",
    [
        stream(chunks("half of", finish=None, usage=False), done=False),
        stream(chunks("half of"))[:-90],
        b'data: {"choices": [{"del',
        b": PROCESSING\n\nevent: ping\n\n",
    ],
)
def test_a_stream_that_is_cut_off_is_no_answer(body: bytes) -> None:
    with pytest.raises(NoReplyError) as error:
        replied(reply(body))
    assert (error.value.kind, error.value.sent) == ("cut body", True)
    assert "nothing asks for it" in error.value.message


def test_a_key_in_the_pieces_of_a_stream_is_redacted() -> None:
    assert answer(stream(chunks(KEY[:9], KEY[9:]))) == "[secret]"
    assert answer(completion(KEY).decode().encode("utf-16")) == "[secret]"


def test_a_charset_that_the_header_names_is_used_only_for_what_is_no_utf_8() -> None:
    latin = json.dumps({"choices": [{"message": {"content": "größer"}}]}, ensure_ascii=False)
    headers = {"Content-Type": "application/json; charset=ISO-8859-1"}
    assert answer(latin.encode("latin-1"), headers) == "größer"
    assert answer(latin.encode(), headers) == "größer"
    assert answer(BODY, {"content-type": 'Application/JSON;charset="UTF-8"'}) == TEXT


SOUND = {
    "201": b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    "202": b"HTTP/1.1 202 Accepted\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY),
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    b"%x;a=b\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(BODY), BODY),
    "lowercase headers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    "no reason": b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    "100 and 103 before it": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    + reply(BODY),
    "huge headers": b"HTTP/1.1 200 OK\r\nSet-Cookie: %b\r\nContent-Length: %d\r\n\r\n%b"
    % (b"a" * 70_000, len(BODY), BODY),
    "closed lines": b"HTTP/1.1 200 OK\nContent-Length: %d\n\n%b" % (len(BODY), BODY),
}


@pytest.mark.parametrize("request_body", [SMALL, LARGE], ids=["ours", "aiohttp"])
@pytest.mark.parametrize("said", SOUND.values(), ids=SOUND)
def test_sound_servers_stay_sound(said: bytes, request_body: bytes) -> None:
    assert classify_chat_reply(replied(said, request_body).body, 100, {}).action is Action.ANSWER


def test_a_body_that_ends_with_the_connection_is_read() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.0 200 OK\nContent-Type: text/html\n\n<p>\r\n\r\n" + BODY)
        await writer.drain()

    async def main() -> bytes:
        async with listen(talk) as wire:
            endpoint = RemoteEndpoint(EndpointConfig(base_url=wire.url), 2, SecretRedactor())
            try:
                return (await endpoint.send(SMALL)).body
            finally:
                await endpoint.close()

    assert asyncio.run(main()) == b"<p>\r\n\r\n" + BODY  # the blank line in it ends no headers
