"""The sentences before translating: what will happen, and what it will take."""

from __future__ import annotations

from syphus.formats.report import Report
from syphus.formats.translation import TRANSLATE
from syphus.ledger.store import Store
from syphus.ledger.summary import average_size
from syphus.runs.forecast import Forecast
from syphus.runs.opening import forecast_line, paid_twice
from syphus.runs.prepare import Means
from syphus.runs.translating.place import Place
from syphus.stages.translating.asking import ask_for_languages
from syphus.stages.translating.stage import Plan, answer_tokens
from syphus.text import many
from syphus.translation import Translatable
from syphus.types import State, Usage

_SPREAD = 0.3  # of the cost, either way


def opening(means: Means, place: Place, report: Report, plan: Plan, store: Store) -> list[str]:
    """What will happen and what it will cost."""
    assert report.translation is not None
    codes = list(plan.targets)
    what = f"{many(report.translation.pairs, 'pair')} into {many(len(codes), 'language')} ({', '.join(codes)})"
    lines = [f"{place.english.name}: {what}, {means.config.model} at {means.endpoint}"]
    pending = report.counts.states[State.PENDING]
    done = sum(each.ok for each in report.translation.languages if each.code in codes)
    left = report.translation.pairs * len(codes) - done
    if report.sessions:
        lines.append(f"Resuming: {done:,} translations done, {left:,} to go{paid_twice(report)}.")
    if not means.options.offline and pending:
        limits = [endpoint.requests_per_minute for endpoint in means.config.endpoints]
        rate = sum(limit for limit in limits if limit) if all(limits) else None
        each = min(len(codes), -(-left // pending))  # languages of a pair that are still to be asked for
        lines.append(forecast_line(_forecast(means, plan, pending, each, average_size(store, TRANSLATE), rate), rate))
    return lines


def _forecast(means: Means, plan: Plan, pairs: int, languages: int, size: float, rate: float | None) -> Forecast:
    """For so many pairs of so many bytes, in so many languages each, without what is asked again."""
    typical = Translatable("x" * int(size), "")
    together = min(languages, plan.fitting(typical))
    requests = pairs * -(-languages // together)
    ask = ask_for_languages(typical, list(plan.targets.values())[:together], (), ())
    prompt = sum(len(message["content"].encode()) for message in ask.messages) // 4
    usage = Usage(requests * prompt, int(pairs * languages * answer_tokens(typical)))
    cost = means.price.of(usage) if means.price else None
    low, high = (None, None) if cost is None else (cost * (1 - _SPREAD), cost * (1 + _SPREAD))
    return Forecast(usage, low, high, requests / rate if rate else None)
