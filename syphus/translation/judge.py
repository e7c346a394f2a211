"""Has a model judge a sample of the accepted translations, for faults of meaning that no rule can see.

The sample is drawn by a hash of the ids, so the same pairs give the same sample, and a larger share contains a smaller
one. Each text is paid for once. A translation that the judge finds bad becomes invalid, as if a rule rejected it. It
leaves the files, and `--retry invalid` asks for it again with the judge's reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from syphus.answers.translation import LANGUAGES, Translatable
from syphus.answers.translation.judge_prompt import NO_FAULT, VERDICT_SCHEMA, judge_messages, read_verdict
from syphus.errors import SyphusError
from syphus.exchange import BYTES_PER_TOKEN
from syphus.formats.report import Report
from syphus.formats.translation_report import JUDGE_STAGE, TRANSLATE_STAGE
from syphus.ledger.inputs import accept_input, register
from syphus.ledger.parts import queries_with_part_states, update_parts
from syphus.ledger.results import answered_queries
from syphus.ledger.sessions import get_meta, set_meta
from syphus.ledger.store import Store
from syphus.ledger.summary import average_size
from syphus.pipeline.observer import Observer
from syphus.runs.cost_estimate import estimated_line
from syphus.runs.cost_text import format_line
from syphus.runs.judge import JUDGE_TEMPERATURE, JudgeStage, Rubric
from syphus.runs.prepare import RunContext
from syphus.runs.session import StageRunner
from syphus.text import pluralize
from syphus.types import Message, Query, ReasonKind, State

_SHARE = f"{JUDGE_STAGE} share"  # meta: the largest share that was ever requested
_VERDICT_TOKENS = 40  # of a typical verdict


class JudgedPart(NamedTuple):
    """The translation that a judge query is about: part `language` of query number `n`."""

    n: int
    language: str


def judge_query(n: int, name: str, language: str, source: str, translated: str) -> Query:
    """Return the judge query for part `language` of query `n`, whose id is `name`.

    `source` and `translated` are the texts as `dump_texts` writes them.
    """
    return Query(f"{language} {name}", f"[{source},{translated}]", meta={"n": n, "language": language})


def judged_part(query: Query) -> JudgedPart:
    """Return the translation that a judge query is about."""
    n = query.meta["n"]
    assert isinstance(n, int)
    return JudgedPart(n, str(query.meta["language"]))


def _messages(query: Query) -> list[Message]:
    source, translated = (Translatable(*texts) for texts in orjson.loads(query.text))
    return judge_messages(source, translated, LANGUAGES[judged_part(query).language])


TRANSLATION_RUBRIC = Rubric(_messages, VERDICT_SCHEMA, lambda text, _: read_verdict(text).problem)
_EXAMPLE = judge_query(1, "", "de", '["",""]', '["",""]')  # for the size of the rubric


def judge_sample(store: Store, context: RunContext, runner: StageRunner, observer: Observer) -> SyphusError | None:
    """Judge the share that the options request, and apply the verdicts; return what stopped the requests, or None.

    If the options request none, sends nothing; but drops the verdicts of translations that have changed since.
    """
    requested, before = context.options.judge_translations, float(str(get_meta(store, _SHARE) or 0))
    share = max(requested, before)
    if not share:
        return None
    register(store, JUDGE_STAGE, _sample(store, share), lambda _: True, lambda _: None)
    set_meta(store, _SHARE, str(share))
    accept_input(store, JUDGE_STAGE)
    stopped_by = _ask(store, context, runner, observer) if requested else None
    _apply_verdicts(store)
    return stopped_by


def _sample(store: Store, share: float) -> Iterator[Query]:
    """Yield the sampled translations that are ok, and all that a judge has rejected."""
    for query in queries_with_part_states(store, TRANSLATE_STAGE, (State.OK, State.INVALID)):
        for language, state, reason, text in query.parts:
            rejected = ReasonKind.parse(reason) is ReasonKind.JUDGE
            if rejected or (state is State.OK and _sample_position(language, query.id) < share):
                yield judge_query(query.n, query.id, language, query.text, text)


def _sample_position(language: str, name: str) -> float:
    """Return a number from 0 (included) to 1 (excluded). A part is sampled if it is below the share."""
    digest = hashlib.blake2b(f"{language}/{name}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _ask(store: Store, context: RunContext, runner: StageRunner, observer: Observer) -> SyphusError | None:
    report = runner.report(JUDGE_STAGE, brief=True)
    pending = report.counts.states[State.PENDING]
    if not pending:
        return None
    observer.say(
        f"{context.config.model} judges {pluralize(pending, 'translation')}{_forecast(store, context, report)}."
    )
    builder = runner.request_builder
    settings = {
        "model": builder.model,
        "simulated": context.options.offline,
        **builder.parameters,
        "temperature": JUDGE_TEMPERATURE,
    }
    return runner.run(JudgeStage(JUDGE_STAGE, builder, TRANSLATION_RUBRIC), settings, report)


def _forecast(store: Store, context: RunContext, report: Report) -> str:
    if context.options.offline:
        return ""
    count = report.counts.states[State.PENDING]
    rubric_bytes = sum(len(message["content"].encode()) for message in TRANSLATION_RUBRIC.messages(_EXAMPLE))
    prompts = count * (rubric_bytes + average_size(store, JUDGE_STAGE)) / BYTES_PER_TOKEN
    return f": {format_line(estimated_line(context, count, prompts, count * _VERDICT_TOKENS))}"


def _apply_verdicts(store: Store) -> None:
    """Make each translation with a fault invalid. The next prompt for it states the judge's reason."""
    rejected = []
    for each in answered_queries(store, JUDGE_STAGE):
        verdict = read_verdict(each.detail) if each.state is State.OK else None
        if verdict is not None and verdict.fault != NO_FAULT:
            n, language = judged_part(each.query)
            reason, detail = f"{ReasonKind.JUDGE}{verdict.fault}", f"{verdict.fault}: {verdict.reason}"
            rejected.append((n, language, State.INVALID, reason, detail))
    update_parts(store, rejected)
    store.commit()
