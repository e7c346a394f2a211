"""200s of the embeddings route that do not hold what was asked for. In answer to a chat they change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from syphus.endpoints.simulated.completion import Case, completion
from syphus.endpoints.simulated.faults.table import Cost, fault
from syphus.endpoints.simulated.replies import Reply, json_reply

Vectors = list[dict[str, object]]


def _changed(case: Case, change: Callable[[Vectors], Vectors]) -> Reply:
    whole = completion(case)
    data = whole.get("data")
    if isinstance(data, list):
        whole["data"] = change(data)
    return json_reply(200, whole)


def _first(value: object) -> Callable[[Vectors], Vectors]:
    return lambda data: [{**data[0], "embedding": value}, *data[1:]]


@fault(Cost.ANSWERED)
def vectors_missing(case: Case) -> Reply:
    """200 with a vector less than texts."""
    return _changed(case, lambda data: data[:-1])


@fault(Cost.ANSWERED)
def vectors_reversed(case: Case) -> Reply:
    """200 with the vectors in another order than the texts; their index tells."""
    return _changed(case, lambda data: data[::-1])


@fault(Cost.ANSWERED)
def vectors_twice(case: Case) -> Reply:
    """200 with one index for all vectors."""
    return _changed(case, lambda data: [{**item, "index": 0} for item in data])


@fault(Cost.ANSWERED)
def vectors_zero(case: Case) -> Reply:
    """200 with a vector of nothing but 0."""
    return _changed(case, _first([0.0] * 64))


@fault(Cost.ANSWERED)
def vectors_nan(case: Case) -> Reply:
    """200 with NaN, as servers in Python write it."""
    reply = _changed(case, _first(["NaN"] * 64))
    return replace(reply, body=reply.body.replace(b'"NaN"', b"NaN"))


@fault(Cost.ANSWERED)
def vectors_short(case: Case) -> Reply:
    """200 with vectors of another dimension than before."""
    return _changed(case, lambda data: [{**item, "embedding": [1.0, 0.5]} for item in data])
