"""Reads the body of a reply as the JSON that was asked for, whatever a gateway on the way has made of it.

Gateways unpack a body and leave `Content-Encoding` as it was, pack one without saying so, write comment lines of an
event stream before the JSON to keep the connection open, or stream an answer that nobody asked to be streamed. What the
bytes are decides, not what a header says of them. A body that begins like JSON costs nothing more than a look at it.

Sources: RFC 9110 section 8.4 (encodings), RFC 8259 section 8.1 (byte order marks), the HTML standard's section on
server-sent events, OpenAI's API reference on `chat.completion.chunk` (2026-11-30).
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterator, Mapping

import orjson

from syphus.endpoints.connections import MAX_REPLY_BYTES, NoReplyError, NoReplyKind, Reply, cut_body, too_large

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BLANKS = b" \t\r\n"
_UTF8_MARK = codecs.BOM_UTF8
_CHUNK = b'"chat.completion.chunk"'
_CHUNK_WITHIN = 400  # bytes of a chunk in which its kind is named
_MAX_MEMBERS = 100  # of a gzip file
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"{\0", "utf-16-le"),
    (b"\0{", "utf-16-be"),
)
_CHARSET = re.compile(r"(?i)charset=\"?([\w.:-]+)")
_STREAM_FIELDS = (b"data", b"event", b"id", b"retry")
_KEPT = ("role", "type", "id", "name", "index", "object", "model")  # strings of a delta that are not in pieces


def decoded(reply: Reply) -> Reply:
    """Return a reply as it came from the connection without its content encoding.

    Raises `NoReplyError` if a 2xx reply can't be decoded. The body of another reply is then replaced by a remark, since
    its status says enough.
    """
    named = reply.headers.get("content-encoding")
    body = reply.body
    if named is None and not body.startswith((_GZIP, _ZSTD, b"x")):
        return reply
    try:
        return reply._replace(body=_decoded(body, named or ""))
    except NoReplyError as error:
        if 200 <= reply.status < 300:
            raise
        return reply._replace(body=f"({error.message})".encode())


def _decoded(body: bytes, named: str) -> bytes:
    """Undo the encodings that a header names, and those that it doesn't name."""
    encodings = [name for name in (each.strip().lower() for each in named.split(",")) if name not in ("", "identity")]
    for _ in range(len(encodings) + 1):
        if body.startswith(_GZIP):
            body = _gunzipped(body)
        elif (inflated := _inflated(body, stated="deflate" in encodings)) is not None:
            body = inflated
        else:
            break
    if body.startswith(_ZSTD):
        raise _unreadable("is compressed with zstd, which was not asked for")
    if encodings and body and not _is_text(body):
        other = encodings[-1]
        if other in ("gzip", "x-gzip", "deflate"):
            raise _unreadable(f"says {other} in its header, and its body is something else")
        raise _unreadable(f"is compressed with {other}, which was not asked for")
    return body


def _unreadable(what: str) -> NoReplyError:
    message = f"the reply {what}; look at the proxy or gateway before the server"
    return NoReplyError(NoReplyKind.UNREADABLE, message, sent=True)


def _is_text(body: bytes) -> bool:
    """Return whether a body is text in UTF-8: compressed bytes are not."""
    try:
        body[:4096].decode()
    except UnicodeDecodeError as error:
        return error.start > 4096 - 4  # a character that was cut there
    return b"\0" not in body[:4096]


def _gunzipped(body: bytes) -> bytes:
    """Return what a gzip file of one or several members holds."""
    unpacked, rest = bytearray(), body
    for _ in range(_MAX_MEMBERS):
        part, rest = _unpack(rest, zlib.MAX_WBITS + 16)
        unpacked += part
        if len(unpacked) > MAX_REPLY_BYTES:
            raise too_large()
        if not rest.startswith(_GZIP):
            break
    return bytes(unpacked)


def _inflated(body: bytes, stated: bool) -> bytes | None:
    """Return what a body compressed with deflate holds, with or without zlib's own head; None if it is not one.

    The head is two bytes that are a multiple of 31. Without it, only the header can tell (`stated`).
    """
    if len(body) < 2 or body[:1] == b"{":
        return None
    has_head = body[0] & 15 == 8 and body[0] >> 4 <= 7 and int.from_bytes(body[:2], "big") % 31 == 0
    if has_head and (stated or not _is_text(body)):
        return _unpack(body, zlib.MAX_WBITS)[0]
    if stated and not _is_text(body):
        return _unpack(body, -zlib.MAX_WBITS)[0]
    return None


def _unpack(body: bytes, window: int) -> tuple[bytes, bytes]:
    """Return what compressed bytes hold, and what follows them."""
    unpacker = zlib.decompressobj(window)
    try:
        unpacked = unpacker.decompress(body, MAX_REPLY_BYTES + 1)
    except zlib.error as error:
        raise _unreadable("is compressed, and damaged") from error
    if len(unpacked) > MAX_REPLY_BYTES:
        raise too_large()
    if not unpacker.eof:
        raise cut_body()
    return unpacked, unpacker.unused_data


def plain_json(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the JSON in the body of a 2xx reply, in UTF-8, or the body as it is if there is none.

    Call it before secrets are redacted: they may be in UTF-16, or in pieces of a stream. Raises `NoReplyError` for a
    stream that does not hold a whole answer.
    """
    if body[:1] == b"{" and body[-2:].rstrip(b"\n")[-1:] == b"}" and _CHUNK not in body[:_CHUNK_WITHIN]:
        return body if body.isascii() else _in_stated_charset(body, headers)
    body = _without_marks(_from_wide(_in_stated_charset(body, headers)))
    start = _after_comments(body)
    if start < len(body) and _is_stream(body[start:]):
        answer = _from_stream(body[start:])
        if not answer:
            message = "the server streams, though nothing asks for it, and the stream ends before the answer does"
            raise NoReplyError(NoReplyKind.CUT_BODY, message, sent=True)
        return answer
    rest = body[start:]
    if rest[:1] not in (b"{", b"["):
        return body
    if _CHUNK in rest[:_CHUNK_WITHIN]:
        return _joined(_json_lines(rest), ended=False) or rest
    return _without_trailer(rest)


def _in_stated_charset(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a body in UTF-8 if it is in another charset that the header names. Most that name one are in UTF-8."""
    found = _CHARSET.search(headers.get("content-type", ""))
    if found is None or found[1].lower().replace("-", "") == "utf8" or body.isascii():
        return body
    try:
        body.decode()
    except UnicodeDecodeError:
        return _recoded(body, found[1])
    return body


def _from_wide(body: bytes) -> bytes:
    """Return a body in UTF-8 if it is in UTF-16 or UTF-32."""
    name = next((name for mark, name in _WIDE if body.startswith(mark)), "")
    return _recoded(body, name) if name else body


def _recoded(body: bytes, charset: str) -> bytes:
    try:
        return body.decode(charset).encode()
    except (LookupError, ValueError):
        return body


def _without_marks(body: bytes) -> bytes:
    body = body.lstrip(_BLANKS)
    while body.startswith(_UTF8_MARK):
        body = body.removeprefix(_UTF8_MARK).lstrip(_BLANKS)
    return body


def _after_comments(body: bytes) -> int:
    """Return where the comment lines at the beginning end: lines that begin with a colon, and blank ones."""
    start = 0
    while True:
        while body[start : start + 1] and body[start : start + 1] in _BLANKS:
            start += 1
        if body[start : start + 3] == _UTF8_MARK:
            start += 3
        elif body[start : start + 1] == b":":
            ends = [end for end in (body.find(b"\n", start), body.find(b"\r", start)) if end >= 0]
            start = min(ends, default=len(body))
        else:
            return start


def _is_stream(body: bytes) -> bool:
    return body.partition(b":")[0] in _STREAM_FIELDS


def _without_trailer(body: bytes) -> bytes:
    """Return a JSON value without comment lines and `data: [DONE]` behind it."""
    end = len(body)
    while True:
        line_start = max(body.rfind(b"\n", 0, end), body.rfind(b"\r", 0, end)) + 1
        line = body[line_start:end].strip()
        if not line_start or (line and line[:1] != b":" and line != b"data: [DONE]"):
            return body[:end]
        end = line_start - 1


def _from_stream(body: bytes) -> bytes:
    """Return the answer that a whole event stream holds, or the error in it; empty if it is cut off."""
    events: list[object] = []
    ended = False
    for data in _stream_data(body):
        if data.strip() == b"[DONE]":
            ended = True
            break
        try:
            events.append(orjson.loads(data))
        except orjson.JSONDecodeError:
            return b""
    return _joined(iter(events), ended)


def _stream_data(body: bytes) -> Iterator[bytes]:
    """Yield the data of each event that a blank line ends, or the end of the body."""
    lines: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", body):
        name, _, value = line.partition(b":")
        if not line and lines:
            yield b"\n".join(lines)
            lines = []
        elif name == b"data":
            value = value.removeprefix(b" ")
            if lines and lines[-1][:1] == b"{" and lines[-1][-1:] == b"}":  # without the blank line between events
                yield b"\n".join(lines)
                lines = []
            lines.append(value)
    if lines:
        yield b"\n".join(lines)


def _json_lines(body: bytes) -> Iterator[object]:
    """Yield the JSON values of a body with one on each line, up to the first line that is not JSON."""
    for line in body.splitlines():
        if line.strip() and line.strip()[:1] != b":":
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                yield None
                return


def _joined(events: Iterator[object], ended: bool) -> bytes:
    """Return one answer from the events of a stream: a whole answer, an error, or chunks up to their end."""
    whole: dict[str, object] = {}
    choices: dict[int, dict[str, object]] = {}
    for event in events:
        if not isinstance(event, dict):
            return b""
        if event.get("error"):
            return orjson.dumps(event)
        given = event.get("choices")
        given = given if isinstance(given, list) else []
        if any(isinstance(each, dict) and "message" in each for each in given):
            return orjson.dumps(event)
        if not given and "choices" not in event:
            if "data" in event:  # embeddings
                return orjson.dumps(event)
            continue  # such as a ping
        whole |= {name: value for name, value in event.items() if name != "choices" and value is not None}
        for each in given:
            if isinstance(each, dict):
                index = each.get("index")
                _add(choices.setdefault(index if isinstance(index, int) else 0, {}), each)
    finished = choices and all(choice.get("finish_reason") for choice in choices.values())
    if not choices or not (finished or ended):
        return b""
    for choice in choices.values():
        choice["message"] = choice.pop("delta", None) or {}
    listed = [choices[index] for index in sorted(choices)]
    return json.dumps({**whole, "object": "chat.completion", "choices": listed}).encode()


def _add(whole: dict[str, object], piece: Mapping[str, object]) -> None:
    """Add a piece of an object to what is there: texts and lists go on, objects grow, other values are replaced."""
    for name, value in piece.items():
        before = whole.get(name)
        if value is None:
            whole.setdefault(name, None)
        elif isinstance(value, dict) and isinstance(before, dict | None):
            whole[name] = before = {} if before is None else before
            _add(before, value)
        elif isinstance(value, str) and isinstance(before, str) and name not in (*_KEPT, "finish_reason"):
            whole[name] = before + value
        elif isinstance(value, list) and isinstance(before, list):
            before.extend(value)
        else:
            whole[name] = value
