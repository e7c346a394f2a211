"""Every fault that an endpoint can play (the simulated endpoint's table), and what becomes of the row and of the run.

One row of five meets the fault every time, and another one once. The others must get their pairs whatever happens.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from harness import KEY, run_rows, server

from syphus.runs.reader import RunReader
from syphus.simulator import FAULTS
from syphus.types import State

OK, INVALID, TRUNCATED, REFUSED, FAILED, PENDING = State


class Fate(NamedTuple):
    """What is expected of the row that is hit every time; `once` of one that is hit a single time."""

    state: State
    reason: str = ""
    requests: int = 1  #: for this row
    exit_code: int = 1
    once: State = OK


def fails(reason: str) -> Fate:
    """An error that is tried `max_attempts` times."""
    return Fate(FAILED, f"{reason}, 3 attempts", requests=3)


def is_of_row(state: State, reason: str, requests: int = 1) -> Fate:
    """The row's own business, never retried as it is."""
    return Fate(state, reason, requests, once=state)


GOOD = Fate(OK, exit_code=0)
FATES = {
    # H5, H6, H17, H3: others are answered, so it is the row that is refused
    "invalid_key": fails("key refused"),
    "invalid_key_echo": fails("key refused"),
    "invalid_key_azure": fails("key refused"),
    "token_expired": fails("key refused"),
    "ip_not_authorized": fails("key refused"),
    "network_403": fails("access denied"),
    "country_403": fails("access denied"),
    "blocked_403": fails("access denied"),
    "model_forbidden": fails("access denied"),
    "model_not_found": fails("unknown model or deployment"),
    "deployment_not_found": fails("unknown model or deployment"),
    "bad_api_version": fails("unknown address"),
    # H20 after answers: a transient failure of a proxy; as the first reply see test_chat_endpoint.py
    "redirect_307": fails("redirect"),
    "redirect_308": fails("redirect"),
    "bad_parameter": fails("bad temperature"),
    "no_vision": fails("no images"),
    "image_500": fails("no images"),
    "insufficient_quota": fails("out of credit"),
    "credit_balance_exhausted": fails("out of credit"),
    "organization_spend_limit_exceeded": fails("out of credit"),
    "project_spend_limit_exceeded": fails("out of credit"),
    "organization_usage_limit_exceeded": fails("out of credit"),
    "quota_gateway": fails("out of credit"),
    "quota_403": fails("quota"),
    "payment_required": fails("out of credit"),
    "retry_after_long": fails("rate limit"),
    # H7, H8, H13: the row's own
    "context_length": is_of_row(FAILED, "context too long"),
    "context_length_gateway": is_of_row(FAILED, "context too long"),
    "context_length_llama": is_of_row(FAILED, "context too long"),
    "request_too_large": is_of_row(FAILED, "larger than the limit of a minute"),
    "unprocessable": is_of_row(FAILED, "rejected 422"),
    "request_echo": is_of_row(FAILED, "rejected 422"),
    "image_unreadable": is_of_row(FAILED, "image not accepted: image_parse_error"),
    "too_large_413": is_of_row(FAILED, "rejected 413"),
    "content_filter": is_of_row(REFUSED, "content filter on the prompt (violence: high)"),
    "content_filter_string": is_of_row(REFUSED, "content filter on the prompt"),
    "content_filter_text": is_of_row(REFUSED, "content filter on the prompt"),
    "content_filter_gateway": is_of_row(REFUSED, "content filter on the prompt"),
    # H9, H11, H12: answers that are none
    "output_filtered_empty": is_of_row(REFUSED, "content filter on the answer (violence: high)"),
    "output_filtered_null": is_of_row(REFUSED, "content filter on the answer (violence: high)"),
    "output_filtered_partial": is_of_row(REFUSED, "content filter on the answer (sexual: high)"),
    "output_filtered_silent": Fate(INVALID, "empty answer", requests=2),
    "truncated": is_of_row(TRUNCATED, "cut off at max_tokens"),
    "truncated_empty": is_of_row(TRUNCATED, "max_tokens used up before the answer began"),
    "empty": Fate(INVALID, "empty answer", requests=2),
    "empty_reasoning_stop": Fate(INVALID, "empty answer", requests=2),
    "null_content": Fate(INVALID, "empty answer", requests=2),
    "null_message": Fate(INVALID, "empty answer", requests=2),
    "no_choices": Fate(INVALID, "empty answer", requests=2),
    "refusal": Fate(REFUSED, "refusal", requests=2),
    # H26: the form was not kept; since the same prompt brings the same answer, a third request says what was wrong
    "refusal_text": Fate(INVALID, "no question and answer pair", requests=3),
    "chatter": Fate(INVALID, "no question and answer pair", requests=3),
    "leak_phrase": Fate(INVALID, "speaks of its notes", requests=3),
    "unpaired": Fate(INVALID, "question without an answer", requests=3),
    # H14, H15, H16, H18, H20, H21, H22: another try may help
    "json_schema_500": fails("server error 500 about the request"),
    "peg_500": fails("server error 500 about the request"),
    "bad_body_500": fails("server error 500 about the request"),
    "server_error": fails("server error 500"),
    "empty_500": fails("server error 500"),
    "html_502": fails("server error 502"),
    "unavailable_503": fails("server error 503"),
    "gateway_timeout_504": fails("server error 504"),
    "request_timeout_408": fails("server error 408"),
    "conflict_409": fails("server error 409"),
    "too_early_425": fails("server error 425"),
    "malformed_json": fails("malformed JSON"),
    "cut_body": fails("cut body"),
    "reset_mid_body": fails("cut body"),
    "wrong_schema": fails("not a chat completion"),
    "login_page": fails("text/html instead of JSON"),
    "empty_200": fails("empty body"),
    "reset": fails("reset"),
    "disconnect": fails("reset"),
    "hang": fails("timeout"),
    "hang_mid_body": fails("timeout"),
    "drip": fails("timeout"),
    "endless": fails("timeout"),
    "sse": GOOD,
    "sse_error": fails("error inside a 200"),
    "sse_cut": fails("cut body"),
    # H10, H23, H24: answers all the same
    **dict.fromkeys(
        (
            "filter_did_not_run",
            "one_choice",
            "no_usage",
            "null_usage",
            "zero_usage",
            "wrong_usage",
            "other_model",
            "duplicate_id",
            "other_answer",
            "wrong_content_type",
            "limits_minus_one",
            "numbered_headers",
            "greeting",
            "one_pair",
        ),
        GOOD,
    ),
}
PAUSES = {  # H1, H2, H4, H19: the endpoint is left alone for a moment, and the row pays with no attempt
    "rate_limit",
    "rate_limit_azure",
    "rate_limit_bare",
    "rate_limit_date",
    "rate_limit_gateway",
    "rate_limit_message",
    "rate_limit_ms",
    "rate_limit_reset_headers",
    "retry_after_zero",
    "retry_after_negative",
    "retry_after_nan",
    "retry_after_huge",
    "retry_after_past",
    "quota_words",
    "payment_retry",
    "slow_down",
    "slow_down_503",
    "overloaded",
    "overloaded_529",
}
SLOW = {"hang", "hang_mid_body", "drip", "endless"}
TEXTS = {
    "first": "the first is fine",
    "unlucky": "an unlucky row",
    "third": "the third is fine",
    "bad": "a bad row",
    "fifth": "the fifth is fine",
}


def test_every_fault_of_the_simulated_endpoint_has_its_fate() -> None:
    assert FATES.keys() | PAUSES == {name for name in FAULTS if not name.startswith("vectors_")}  # test_embeddings.py
    assert not FATES.keys() & PAUSES


@pytest.mark.parametrize("fault", FATES)
def test_a_row_that_is_hit_ends_as_it_should(fault: str, tmp_path: Path) -> None:
    """Where another try makes sense, a row that is hit once gets its pairs."""
    fate = FATES[fault]
    timeout = 0.3 if fault in SLOW else 5.0
    poison = {"poison": {"bad": fault}, "poison_once": {"unlucky": fault}}
    with server(**poison, hang_seconds=2, drip_seconds=0.05) as simulated:
        ran = run_rows(tmp_path, simulated.url, TEXTS, config={"timeout": timeout}, num_threads=1)
        hit = [record for record in simulated.requests if record.fault == fault]
    assert ran.exit_code == fate.exit_code
    with RunReader(ran.folder) as run:
        ended = {row.query: (row.state, row.reason) for row in run.outcomes()}
    state, reason = ended.pop("bad")
    assert (state, reason.startswith(fate.reason)) == (fate.state, True), reason
    assert ended.pop("unlucky")[0] == fate.once
    assert set(ended.values()) == {(OK, "")}
    retried = fate.once is OK and fate is not GOOD
    assert ran.report.spending.requests == 3 + fate.requests + 1 + retried
    assert len(hit) == fate.requests + 1
    assert KEY not in str(ran.error)


@pytest.mark.parametrize("fault", sorted(PAUSES))
def test_a_pause_costs_no_attempt(fault: str, tmp_path: Path) -> None:
    with server(script=["ok", *[fault] * 4]) as simulated:
        ran = run_rows(tmp_path, simulated.url, TEXTS, config={"max_attempts": 1, "max_outage": 60.0}, num_threads=1)
    assert ran.exit_code == 0
    assert ran.states == {OK: 5}
    assert ran.report.spending.requests == 9


STOPS = {
    "insufficient_quota": "Out of credit",
    "payment_required": "Out of credit",
    "quota_gateway": "You exceeded your current quota",
    "quota_403": "asks to wait",
    "retry_after_long": "asks to wait 86,400 s (rate limit). Wait until ",
    "invalid_key": "refused the key",
    "model_not_found": "does not know the model",
    "country_403": "denied access",
}


@pytest.mark.parametrize("fault", STOPS)
def test_a_stop_costs_few_requests_and_keeps_every_row(fault: str, tmp_path: Path) -> None:
    with server(faults={fault: 1.0}) as simulated:
        ran = run_rows(tmp_path, simulated.url, 50, num_threads=16)
        asked = simulated.stats.requests
    assert ran.exit_code == 3
    assert asked == 3  # the first rows are asked one by one, and one of them alone says nothing about the others
    assert STOPS[fault] in str(ran.error)
    assert ran.states == {PENDING: 50}
    with server() as well:
        assert run_rows(tmp_path, well.url, 50, num_threads=16).states == {OK: 50}


@pytest.mark.parametrize(
    "fault", ["cut_body", "reset_mid_body", "hang", "malformed_json", "login_page", "wrong_schema"]
)
def test_what_may_have_been_billed_without_an_answer_is_counted(fault: str, tmp_path: Path) -> None:
    with server(poison_once={"bad": fault}, hang_seconds=2) as simulated:
        ran = run_rows(tmp_path, simulated.url, TEXTS, config={"timeout": 0.3}, num_threads=1)
    assert ran.report.spending.maybe_billed == 1
    assert ran.report.spending.unknown_tokens > 0


@pytest.mark.parametrize("fault", ["no_usage", "null_usage", "zero_usage"])
def test_usage_that_is_not_reported_is_estimated_and_marked(fault: str, tmp_path: Path) -> None:
    with server(faults={fault: 1.0}) as simulated:
        usage = run_rows(tmp_path, simulated.url, TEXTS).report.spending.usage
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.estimated == usage.prompt_tokens + usage.completion_tokens


def test_the_model_is_kept_as_the_server_named_it(tmp_path: Path) -> None:
    with server(poison={"bad": "other_model"}) as simulated:
        models = run_rows(tmp_path, simulated.url, TEXTS).report.spending.models
    assert len(models) == 2
    assert models[0].model == "simulated-chat"
