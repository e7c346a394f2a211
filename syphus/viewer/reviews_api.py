"""What the pages for reviewers ask: pairs, the queue, decisions, and what rules are worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from aiohttp import web

from syphus.errors import ConfigError, InputError
from syphus.ledger.reviews import NewDecision, ReviewConflictError, ReviewLog, ReviewState, Verdict
from syphus.ledger.store import Store
from syphus.runs.generate import GenerateStage
from syphus.text import alternatives
from syphus.viewer.ledger_access import read_ledger
from syphus.viewer.replies import as_reply, body_of, refusal
from syphus.viewer.review_items import Item, find_number, text_of
from syphus.viewer.review_lists import PairRequest, QueueRequest, read_pairs, read_queue, read_worth
from syphus.viewer.review_queue import ReviewDesk, located
from syphus.viewer.run_list import ViewedRun
from syphus.viewer.viewer import Viewer

BY = ("random", "rule", "score", "disagreement", "worth")  #: ways to draw pairs for review
_MOST, _USUAL = 100, 24  # items of a reply
_TEXTS = ("reviewer", "reason", "comment", "instruction", "answer", "undoes", "draw", "language")

T = TypeVar("T")


class _ChangedTextError(InputError):
    """A decision about another text than the pair has now."""


class _Desks:
    """The desk of each run that is reviewed, opened when it is needed first."""

    def __init__(self) -> None:
        self._desks: dict[str, ReviewDesk] = {}

    def call(self, run: ViewedRun, function: Callable[[ReviewDesk, Store], T]) -> T:
        """Call a function with the decisions about a run, up to date, and its ledger. In a thread."""
        desk = self._desks.setdefault(run.key, ReviewDesk(ReviewLog(run.folder)))
        with desk.lock:
            desk.log.refresh()
            return read_ledger(run.folder, partial(function, desk))


def routes(viewer: Viewer) -> list[web.RouteDef]:
    """Return the routes of this module."""
    desks = _Desks()

    async def pairs(request: web.Request) -> web.Response:
        run, wanted = viewer.run(request), _pair_request(request.query)
        read = partial(read_pairs, address=_address(run), wanted=wanted)
        return as_reply(await viewer.call(partial(desks.call, run, partial(_with_images, viewer, read=read))))

    async def queue(request: web.Request) -> web.Response:
        run, wanted = viewer.run(request), _queue_request(request.query)
        read = partial(read_queue, address=_address(run), wanted=wanted, now=time.time())
        return as_reply(await viewer.call(partial(desks.call, run, partial(_with_images, viewer, read=read))))

    async def worth(request: web.Request) -> web.Response:
        run, seed = viewer.run(request), _number(request.query, "seed", 0)
        return as_reply(await viewer.call(partial(desks.call, run, partial(read_worth, seed=seed))))

    async def review(request: web.Request) -> web.Response:
        run, body = viewer.run(request), await body_of(request)
        try:
            reply = await viewer.call(partial(desks.call, run, partial(_decide, body=body, now=time.time())))
        except (_ChangedTextError, ReviewConflictError) as error:
            return refusal(409, str(error))
        viewer.events.of(run).send("reviews", {"count": reply["count"]})
        return as_reply(reply)

    base = "/api/runs/{run}"
    return [
        web.get(f"{base}/pairs", pairs),
        web.get(f"{base}/review/queue", queue),
        web.get(f"{base}/worth", worth),
        web.post(f"{base}/reviews", review),
    ]


def _with_images(
    viewer: Viewer, desk: ReviewDesk, store: Store, read: Callable[[ReviewDesk, Store], dict[str, Any]]
) -> dict[str, Any]:
    """Read pairs, without the addresses of images that can't be read."""
    found = read(desk, store)
    viewer.images.clear_addresses(store, found["pairs"])
    return found


def _address(run: ViewedRun) -> str:
    return f"/api/runs/{run.key}"


def _decide(desk: ReviewDesk, store: Store, body: Mapping[str, object], now: float) -> dict[str, object]:
    """Append a decision; return its number and what all say about the pair now. Raises `InputError`."""
    new = _decision(body)
    item = _item(desk, store, new.pair, body.get("n"))
    text = text_of(store, item, new.language) if item else None
    if text is None:
        raise InputError(f"{new.pair or 'pair'}: the run has no such pair{' in this language' * bool(new.language)}")
    is_known = any(each.of.id == new.id for each in desk.log.decisions(new.pair, new.language))
    if text.hash != new.text_hash and not is_known and new.verdict is not Verdict.UNDO:
        raise _ChangedTextError(f"{new.pair} has another text now. Load it again, and review that one.")
    decision = desk.log.append(new._replace(query=text.query), now)
    review = desk.log.review(new.pair, text.hash, new.language)
    return {"ok": True, "number": decision.number, "count": len(desk.log), "review": review.as_json()}


def _decision(body: Mapping[str, object]) -> NewDecision:
    fields = {name: body.get(name) for name in ("id", "pair", "text_hash", *_TEXTS)}
    wrong = [name for name, value in fields.items() if not (value is None or isinstance(value, str))]
    if wrong:
        raise InputError(f"{wrong[0]}: must be a text")
    verdict = body.get("verdict")
    if verdict not in list(Verdict):
        raise InputError(f"verdict {verdict}: must be {alternatives(Verdict)}")
    known = {name: str(value or "") for name, value in fields.items()}
    return NewDecision(
        id=known["id"],
        pair=known["pair"],
        text_hash=known["text_hash"],
        reviewer=known["reviewer"],
        verdict=Verdict(str(verdict)),
        language=known["language"],
        reason=known["reason"],
        comment=known["comment"],
        instruction=known["instruction"],
        answer=known["answer"],
        undoes=known["undoes"],
        draw=known["draw"],
    )


def _item(desk: ReviewDesk, store: Store, pair: str, n: object) -> Item | None:
    """Return the item that a decision is about. The page names its query; other programs need not."""
    if isinstance(n, int):
        return Item(n, pair)
    decisions = [each for each, _ in desk.log.pairs() if each == pair]
    if decisions and (known := desk.log.decisions(pair)):
        return located(store, pair, known[0].of.query)
    found = find_number(store, pair, GenerateStage.name)
    return None if found is None else Item(found, pair)


def _pair_request(query: Mapping[str, str]) -> PairRequest:
    state = query.get("review", "")
    if state and state not in list(ReviewState):
        raise ConfigError(f"review {state}: must be {alternatives(ReviewState)}")
    return PairRequest(
        language=query.get("language", ""),
        state=ReviewState(state) if state else None,
        rule=query.get("rule", ""),
        text=query.get("text", ""),
        after=_number(query, "after", -1),
        limit=_limit(query),
        n=_number(query, "n", -1),
    )


def _queue_request(query: Mapping[str, str]) -> QueueRequest:
    by = query.get("by", "random")
    if by not in BY:
        raise ConfigError(f"by {by}: must be {alternatives(BY)}")
    rule, reviewer, language = (query.get(name, "") for name in ("rule", "reviewer", "language"))
    return QueueRequest(by, rule, reviewer, language, _number(query, "seed", 0), _limit(query))


def _limit(query: Mapping[str, str]) -> int:
    return max(1, min(_MOST, _number(query, "limit", _USUAL)))


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.lstrip("-").isdecimal() or not text.isascii() or len(text) > 15:
        raise ConfigError(f"{name} {text[:40]}: must be a number")
    return int(text)
