"""Lists for reviewers: the pairs of a run by what people say of them, the queue, and what rules are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import orjson

from syphus.formats.report import CALIBRATION_META
from syphus.ledger.reviewed import measure_agreement
from syphus.ledger.reviews import JUDGEMENTS, ReviewLog, ReviewState, review_of
from syphus.ledger.serialization import load_stored_pairs
from syphus.ledger.sessions import get_meta
from syphus.ledger.store import Store
from syphus.quality.estimates import Bounds
from syphus.runs.generate import GenerateStage
from syphus.viewer.review_items import Item, ItemReader, text_of
from syphus.viewer.review_queue import ACCEPTED, JUDGE_BAD, JUDGE_GOOD, RULE, ReviewDesk, located
from syphus.viewer.rule_accuracy import Stratum, allocate, precision, recall, total

#: Why a pair is rejected, by the digits of the keyboard; any other text may be given.
REASONS = ("not in the image", "wrong", "not answerable from the image", "trivial", "badly written", "other")
_SCANNED, _BATCH = 4_000, 200  # queries that a page of pairs may look through; at once
_DAY = 86_400
_SEARCHED = 50  # of the next units that are shared out


class PairRequest(NamedTuple):
    """Which pairs: by language, what people say, a rule that repaired them, a text; or those of query `n`."""

    language: str
    state: ReviewState | None
    rule: str
    text: str
    after: int  #: -1 for the first page
    limit: int
    n: int  #: -1 for all


class QueueRequest(NamedTuple):
    """What a reviewer wants next. `by` is one of the ways to draw pairs."""

    by: str
    rule: str
    reviewer: str
    language: str
    seed: int
    limit: int


def read_pairs(desk: ReviewDesk, store: Store, address: str, wanted: PairRequest) -> dict[str, object]:
    """Return a page of pairs as JSON values. A page may be short: `next` says where to resume, `seen` how far it is."""
    reader = ItemReader(store, desk.log, address)
    is_decided = wanted.state not in (None, ReviewState.UNSEEN)
    source = _decided_items(desk, store, wanted) if is_decided else _pairs_in_order(store, wanted)
    found: list[Item] = []
    last, ended = wanted.after, True
    for place, item in source:
        if len(found) >= wanted.limit and place != last:
            ended = False
            break
        last = place
        if item is not None and _fits(desk.log, store, item, wanted):
            found.append(item)
        elif item is None:
            ended = False
    rows = reader.read(found, wanted.language)
    return {"pairs": rows, "next": None if ended else str(last), "reasons": REASONS, "languages": _languages(store)}


def _pairs_in_order(store: Store, wanted: PairRequest) -> Iterator[tuple[int, Item | None]]:
    """Yield the pairs with the positions of their queries. A last None says that the search stopped before the end."""
    where = ["stage = ?", "state = 'ok'", "query.pairs > 0"]
    values: list[object] = [GenerateStage.name]
    if wanted.n >= 0:
        where.append("n = ?")
        values.append(wanted.n)
    if wanted.rule:
        where.append("EXISTS (SELECT 1 FROM json_each(repairs) WHERE key = ?)")
        values.append(wanted.rule)
    select = (
        "SELECT position, n, result.pairs FROM query JOIN result USING (n) "
        f"WHERE {' AND '.join(where)} AND position > ? ORDER BY position LIMIT ?"
    )
    looked, position = 0, wanted.after
    while rows := store.read(select, *values, position, _BATCH):
        for position, n, pairs in rows:
            yield from ((position, Item(n, p.id)) for p in load_stored_pairs(pairs) if _has_text(wanted, p[1], p[2]))
        looked += len(rows)
        if looked >= _SCANNED:
            yield position, None
            return


def _has_text(wanted: PairRequest, instruction: str, answer: str) -> bool:
    return not wanted.text or wanted.text.casefold() in f"{instruction}\n{answer}".casefold()


def _decided_items(desk: ReviewDesk, store: Store, wanted: PairRequest) -> Iterator[tuple[int, Item]]:
    """Yield the items that people decided about, the newest first, each with the number of its first decision."""
    log = desk.log
    firsts = [(log.decisions(pair, code)[0], pair) for pair, code in log.pairs() if code == wanted.language]
    for first, pair in sorted(firsts, key=lambda each: -each[0].number):
        if wanted.after >= 0 and first.number >= wanted.after:
            continue
        item = located(store, pair, first.of.query)
        text = item and text_of(store, item)
        if item and text and _has_text(wanted, text.instruction, text.answer):
            yield first.number, item


def _fits(log: ReviewLog, store: Store, item: Item, wanted: PairRequest) -> bool:
    if wanted.state is None:
        return True
    if wanted.state is ReviewState.UNSEEN and not log.decisions(item.name, wanted.language):
        return True
    text = text_of(store, item, wanted.language)
    return text is not None and log.review(item.name, text.hash, wanted.language).state is wanted.state


def _languages(store: Store) -> list[str]:
    if not store.has_table("part"):
        return []
    value = store.read_value("SELECT value FROM meta WHERE name = 'languages'")
    return [code for code in str(value or "").split(",") if code]


def read_queue(desk: ReviewDesk, store: Store, address: str, wanted: QueueRequest, now: float) -> dict[str, object]:
    """Return what a reviewer gets next, with progress and agreement. `now` is in seconds since the epoch."""
    skip = _skip(desk.log, store, wanted)
    reader = ItemReader(store, desk.log, address)
    match wanted.by:
        case "rule":
            name = wanted.rule if wanted.rule in (JUDGE_BAD, JUDGE_GOOD) else RULE + wanted.rule
            rows = reader.read(list(islice(desk.drawn(store, name, wanted.seed, skip), wanted.limit)))
        case "score":
            rows = reader.read(list(islice(desk.low_scores(store, wanted.seed, skip), wanted.limit)))
        case "disagreement":
            disputed = islice(desk.disputed(store, wanted.reviewer), wanted.limit)
            rows = [{**row, "language": code} for item, code in disputed for row in reader.read([item], code)]
        case "worth":
            rows = reader.read(desk.worth_most(store, wanted.seed, wanted.limit, skip))
        case _:
            items = islice(desk.drawn(store, ACCEPTED, wanted.seed, skip), wanted.limit)
            rows = reader.read(list(items), wanted.language)
    frames = desk.rejected(store, wanted.seed)
    rules = [{"name": name.removeprefix(RULE), "answers": frame.size} for name, frame in frames.items()]
    return {
        "pairs": rows,
        "progress": _progress(desk.log, store, wanted.reviewer, now),
        "agreement": measure_agreement(desk.judgements()).as_json(),
        "rules": sorted(rules, key=lambda each: -int(str(each["answers"]))),
        "languages": _languages(store),
        "reasons": REASONS,
        "notes": desk.log.notes,
    }


def _skip(log: ReviewLog, store: Store, wanted: QueueRequest) -> Callable[[Item], bool]:
    """Return whether the reviewer has judged the text that an item has now."""

    def skip(item: Item) -> bool:
        decisions = log.decisions(item.name, wanted.language)
        if not any(each.of.reviewer == wanted.reviewer for each in decisions):
            return False
        now = item.hash if not wanted.language else ""
        if not now and (text := text_of(store, item, wanted.language)):
            now = text.hash
        return wanted.reviewer in review_of(decisions, now).verdicts

    return skip


def _progress(log: ReviewLog, store: Store, reviewer: str, now: float) -> dict[str, int]:
    total = store.read_value("SELECT total(pairs) FROM tally WHERE stage = ? AND kind = 'ok'", GenerateStage.name)
    mine: set[tuple[str, str]] = set()
    today: set[tuple[str, str]] = set()
    seen: set[tuple[str, str]] = set()
    for each in log.all_decisions():
        if each.of.verdict in JUDGEMENTS:
            about = (each.of.pair, each.of.language)
            seen.add(about)
            if each.of.reviewer == reviewer:
                mine.add(about)
                if now - each.at < _DAY:
                    today.add(about)
    return {"seen": len(seen), "total": int(total or 0), "mine": len(mine), "today": len(today)}


def read_worth(desk: ReviewDesk, store: Store, seed: int) -> dict[str, object]:
    """Return precision and recall of each rule, of all together and of the judge, and what to look at next."""
    strata = desk.strata(store, seed)
    by_name = {each.name: each for each in strata}
    accepted = by_name[ACCEPTED]
    rules = [each for each in strata if each.name.startswith(RULE)]
    judged = [by_name[name] for name in (JUDGE_BAD, JUDGE_GOOD) if name in by_name]
    shares = allocate(strata, _SEARCHED)
    lines = []
    for rule in sorted(rules, key=lambda each: -each.size):
        others = [each for each in (*rules, accepted) if each is not rule]
        lines.append({**_line(rule), "precision": _json(precision(rule)), "recall": _json(recall([rule], others))})
    return {
        "rules": lines,
        "together": {
            "recall": _json(recall(rules, [accepted]) if rules else None),
            "precision": _json(_precision_of(rules)),
        },
        "accepted": {**_line(accepted), "bad_share": _json(accepted.bad_share if accepted.judged else None)},
        "judge": _judge(judged),
        "calibration": orjson.loads(str(get_meta(store, CALIBRATION_META) or "null")),
        "next": [{"stratum": name, "units": units} for name, units in sorted(shares.items(), key=lambda e: -e[1])],
        "decisions": len(desk.log),
    }


def _line(stratum: Stratum) -> dict[str, object]:
    return {
        "name": stratum.name.removeprefix(RULE),
        "answers": stratum.size,
        "judged": stratum.judged,
        "good": stratum.good,
        "bad": stratum.bad,
        "undecided": stratum.undecided,
    }


def _precision_of(rules: Sequence[Stratum]) -> Bounds | None:
    """Return which share of all rejected answers is bad, each rule weighted by what it rejects."""
    size = sum(rule.size for rule in rules)
    if not size or any(rule.size and not rule.judged for rule in rules):
        return None
    bad = total([rule.bad_mass for rule in rules])
    return Bounds(*(min(1.0, each / size) for each in bad))


def _judge(strata: Sequence[Stratum]) -> dict[str, object] | None:
    if not strata:
        return None
    by_name = {each.name: each for each in strata}
    bad = by_name.get(JUDGE_BAD, Stratum(JUDGE_BAD, 0))
    good = by_name.get(JUDGE_GOOD, Stratum(JUDGE_GOOD, 0))
    return {
        "bad": _line(bad),
        "good": _line(good),
        "precision": _json(precision(bad)),
        "recall": _json(recall([bad], [good])),
    }


def _json(bounds: Bounds | None) -> dict[str, float] | None:
    return bounds.as_json() if bounds else None
