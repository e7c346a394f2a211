"""A model reads a share of the translations and says what is wrong with them: what no rule can see.

Which ones is drawn by lot from their ids, so it is the same ones for the same pairs, and more of them for a larger
share. Each text is paid for once. What is found bad is no good from then on, as if a rule had seen it: it leaves the
files, and `--retry invalid` asks for it again, with the judge's reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from syphus.answers.translation import LANGUAGES, Translatable
from syphus.answers.translation.judge_prompt import NO_FAULT, OPINION_SCHEMA, judge_messages, read_verdict
from syphus.errors import SyphusError
from syphus.formats.report import Report
from syphus.formats.translation_report import JUDGE_STAGE, TRANSLATE_STAGE
from syphus.ledger.inputs import accept_input, register
from syphus.ledger.parts import queries_with_part_states, update_parts
from syphus.ledger.reasons import ReasonKind
from syphus.ledger.results import answered_queries
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import average_size
from syphus.pipeline.engine import Observer
from syphus.runs.forecast import Forecast, format_forecast
from syphus.runs.judge import TEMPERATURE, JudgeStage, Rubric
from syphus.runs.prepare import RunContext
from syphus.runs.session import StageRunner
from syphus.text import pluralize
from syphus.types import BYTES_PER_TOKEN, Message, Query, State, Usage

# FOLDED from reading.py:
# Translations as queries to a judge, and what it says of them.


class JudgedPart(NamedTuple):
    """The translation that a query is about: part `language` of query number `n`."""

    n: int
    language: str


def judge_query(n: int, name: str, language: str, source: str, translated: str) -> Query:
    """Part `language` of query `name`, number `n`, as a query to a judge; both texts as `pieces.dump` writes them."""
    return Query(f"{language} {name}", f"[{source},{translated}]", meta={"n": n, "language": language})


def judged_part(query: Query) -> JudgedPart:
    """What `to_read` was told of it."""
    n = query.meta["n"]
    assert isinstance(n, int)
    return JudgedPart(n, str(query.meta["language"]))


def _messages(query: Query) -> list[Message]:
    source, translated = (Translatable(*texts) for texts in orjson.loads(query.text))
    return judge_messages(source, translated, LANGUAGES[judged_part(query).language])


TRANSLATION_RUBRIC = Rubric(_messages, OPINION_SCHEMA, lambda text: read_verdict(text).problem)


_SHARE = f"{JUDGE_STAGE} share"  # meta: the largest that was ever wanted
_ANSWER = 40  # tokens of a verdict, about


def judge_sample(store: Store, means: RunContext, runner: StageRunner, observer: Observer) -> SyphusError | None:
    """Has the share that is wanted judged, and takes over what was found; returns what stopped it.

    Where none is wanted nobody is asked: only what has changed since it was judged is no longer counted as judged.
    """
    wanted, before = means.options.judge_translations, float(str(get_meta(store, _SHARE) or 0))
    share = max(wanted, before)
    if not share:
        return None
    register(store, JUDGE_STAGE, _drawn(store, share), lambda _: True, lambda _: None)
    set_meta(store, _SHARE, str(share))
    accept_input(store, JUDGE_STAGE)
    stopped_by = _ask(store, means, runner, observer) if wanted else None
    _take_over(store)
    return stopped_by


def _drawn(store: Store, share: float) -> Iterator[Query]:
    """The translations that are good by rule, or were until a judge saw them, as far as the lot is theirs."""
    for held in queries_with_part_states(store, TRANSLATE_STAGE, (State.OK, State.INVALID)):
        for language, state, reason, text in held.parts:
            rejected = ReasonKind.parse(reason) is ReasonKind.JUDGE
            if rejected or (state is State.OK and _lot(language, held.id) < share):
                yield judge_query(held.n, held.id, language, held.text, text)


def _lot(language: str, name: str) -> float:
    """A number from 0 on, and below 1."""
    digest = hashlib.blake2b(f"{language}/{name}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _ask(store: Store, means: RunContext, runner: StageRunner, observer: Observer) -> SyphusError | None:
    report = runner.report(JUDGE_STAGE, brief=True)
    pending = report.counts.states[State.PENDING]
    if not pending:
        return None
    observer.say(f"{means.config.model} judges {pluralize(pending, 'translation')}{_forecast(store, means, report)}.")
    sampling = runner.request_builder
    settings = {
        "model": sampling.model,
        "simulated": means.options.offline,
        **sampling.parameters,
        "temperature": TEMPERATURE,
    }
    return runner.run(JudgeStage(JUDGE_STAGE, sampling, TRANSLATION_RUBRIC), settings, report)


def _forecast(store: Store, means: RunContext, report: Report) -> str:
    if means.options.offline:
        return ""
    count = report.counts.states[State.PENDING]
    rubric = sum(len(message["content"].encode()) for message in TRANSLATION_RUBRIC.messages(_EXAMPLE))
    usage = Usage(int(count * (rubric + average_size(store, JUDGE_STAGE)) / BYTES_PER_TOKEN), count * _ANSWER)
    cost = means.price.cost(usage) if means.price else None
    return f": {format_forecast(Forecast(usage, cost, cost, None), None)}"


_EXAMPLE = judge_query(1, "", "de", '["",""]', '["",""]')


def _take_over(store: Store) -> None:
    """What was found bad is invalid, and its reason is what the model is told."""
    found = []
    for each in answered_queries(store, JUDGE_STAGE):
        opinion = read_verdict(each.detail) if each.state is State.OK else None
        if opinion is not None and opinion.fault != NO_FAULT:
            n, language = judged_part(each.query)
            reason, detail = f"{ReasonKind.JUDGE}{opinion.fault}", f"{opinion.fault}: {opinion.reason}"
            found.append((n, language, State.INVALID, reason, detail))
    update_parts(store, found)
    store.commit()
