"""What a cold start will take at the most, before it costs anything."""

from __future__ import annotations

from syphus.endpoints.answers import BYTES_PER_TOKEN
from syphus.runs.cold_start.plan import Plan
from syphus.runs.forecast import SPREAD, USUAL_ANSWER, prefix_tokens
from syphus.runs.prepare import Prepared
from syphus.text import dollars, many
from syphus.types import Prefix, Usage


def forecast_lines(prepared: Prepared, plan: Plan, askable: int, annotation_bytes: float) -> list[str]:
    """Where from, how much at the least and at the most; `annotation_bytes` is the size of an average annotation.

    `plan` fits the input. Says so where the budget will not do for one round.
    """
    options, model = prepared.options, prepared.config.model
    least, most = plan.requests(1), plan.requests()
    of_all = f"{plan.sample} of {many(askable, 'query', 'queries')}"
    what = f"{of_all} a round to choose from, {plan.held_out} others to prove with"
    lines = [f"{options.name} {options.dataset_version}: cold start: {what}, {model} at {prepared.endpoint}"]
    many_requests = f"{least:,} requests for one round" + (
        f", {most:,} at the most for {plan.rounds}" if plan.rounds > 1 else " at the most"
    )
    if options.max_requests is not None and options.max_requests < least:
        lines.append(f"--max-requests {options.max_requests} will not do for one round.")
    if options.offline:
        return [*lines, many_requests]
    asked = annotation_bytes / BYTES_PER_TOKEN
    examples = min(plan.tokens, plan.examples * (asked + USUAL_ANSWER)) / 2  # the first queries are asked without
    each = Usage(
        int(prefix_tokens(Prefix(prepared.prefix.system_message), prepared.image_rules) + examples + asked),
        int(USUAL_ANSWER),
    )
    lines.append(f"{many_requests}; {_cost(prepared, each, least, most)}")
    return lines


def _cost(prepared: Prepared, each: Usage, least: int, most: int) -> str:
    tokens = each.prompt_tokens + each.completion_tokens
    fewest, all_of_them = (f"{count * tokens / 1000:,.0f}k" for count in (least, most))
    told = f"about {fewest}{f' to {all_of_them}' if most > least else ''} tokens"
    if prepared.price is None:
        return f"{told}, cost unknown (no price for this model)"
    price = prepared.price.of(each)
    low, high = dollars(least * price * (1 - SPREAD)), dollars(most * price * (1 + SPREAD))
    return f"{told}, {low} to {high}" if low != high else f"{told}, {high}"
