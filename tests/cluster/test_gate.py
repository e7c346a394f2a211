"""The gate as a state machine: what clients use together, in simulated time, at a server with true buckets."""

from __future__ import annotations

import json
import math
import random

import pytest
from shared_key import Shared

from syphus.cluster.gate import Gate, group_name
from syphus.cluster.key_gate import DEAD_AFTER
from syphus.cluster.lease_holder import LeaseHolder, RunSpending, Terms
from syphus.cluster.messages import Lease, LeaseRequest, MessageError

GROUP = group_name("api.example.org", "sk-canary-0123456789", "gpt-6-luna")


@pytest.mark.parametrize(
    ("limits", "of"),
    [
        ({"tpm": 300_000}, 300_000),
        ({"tpm": 300_000, "burst_seconds": 1}, 300_000),
        ({"tpm": 300_000, "used": 350}, 300_000),
        ({"rpm": 600, "burst_seconds": 10}, 600),
        ({"tpm": 300_000, "median": 8.0}, 300_000),
        ({"tpm": 300_000, "used": 350, "state_limits": False, "said": {"tokens": 300_000}}, 300_000),
    ],
    ids=["charges-max-tokens", "no-bursts", "charges-usage", "requests", "slow-answers", "says-nothing"],
)
def test_clients_use_one_limit_up_and_no_more(limits: dict[str, object], of: float) -> None:
    shared = Shared(clients=4, **limits)  # type: ignore[arg-type]  # as in the table
    shared.play(110)
    assert shared.taken(30, 110) >= 0.98 * of * 80 / 60
    assert shared.most_in_a_minute() <= 1.01 * of
    assert shared.refused() <= 0.005
    shares = [shared.taken(30, 110, f"c{number}") for number in range(4)]
    assert min(shares) >= 0.9 * max(shares)


def test_a_program_without_the_gate_gets_the_half_that_it_takes() -> None:
    shared = Shared(tpm=300_000, burst_seconds=10, clients=4)
    shared.foreign(2_500, at=30, until=90)
    shared.play(150)
    assert shared.refused(by="foreign") == shared.refused() == 0
    assert 0.46 <= shared.taken(60, 90) / 150_000 <= 0.54
    assert shared.taken(110, 150) >= 0.98 * 200_000  # once it has gone


def test_the_share_of_a_killed_client_is_back_within_two_seconds() -> None:
    shared = Shared(tpm=600_000, clients=4)
    shared.play(20)
    shared.kill("c0")
    shared.play(60)
    assert shared.taken(22, 60) >= 0.98 * 10_000 * 38


def test_a_pause_that_one_client_meets_holds_for_all_after_a_message() -> None:
    gate, holders = Gate(), [LeaseHolder(name, GROUP, Terms({"requests": 600})) for name in ("a", "b")]
    for holder in (*holders, *holders):
        ask(gate, holder, 0.0)
    holders[0].refuse("requests", 30.0, sent_at=0.0, now=1.0)
    assert holders[0].has_news
    ask(gate, holders[0], 1.0)
    lease = ask(gate, holders[1], 1.1)
    assert lease.pause == pytest.approx(29.9)
    assert holders[1].paused_until == pytest.approx(31.0)


def ask(gate: Gate, holder: LeaseHolder, now: float, threads: int = 8, spending: RunSpending | None = None) -> Lease:
    lease = gate.exchange(holder.message(now, threads, threads - holder.in_flight, spending), now)
    holder.accept(lease, now)
    return lease


def test_before_the_first_answer_one_request_goes_alone() -> None:
    gate, holders = Gate(), [LeaseHolder(name, GROUP, Terms({})) for name in ("a", "b")]
    assert [ask(gate, holder, 0.0).requests for holder in (*holders, *holders)] == [1, 0, 1, 0]
    holders[0].take(1.0)
    assert ask(gate, holders[1], 0.1).requests == 0
    holders[0].end(1.0, 1.0, {}, 0.0)
    ask(gate, holders[0], 0.2)
    assert ask(gate, holders[1], 0.3).requests == 8


def test_where_no_limit_is_known_the_requests_in_flight_are_shared_and_come_back() -> None:
    gate, holders = Gate(), [LeaseHolder(name, GROUP, Terms({})) for name in ("a", "b", "c")]
    ask(gate, holders[0], 0.0)
    holders[0].take(1.0)
    holders[0].end(1.0, 1.0, {}, 0.0)
    for now in (0.1, 0.2, 0.3, 0.4):
        slots = [ask(gate, holder, now).slots for holder in holders]
    assert slots == [5, 5, 5]  # of the 16 that an unknown server gets at first
    for now in (DEAD_AFTER + 0.5, DEAD_AFTER + 0.6):  # the third is silent
        slots = [ask(gate, holder, now).slots for holder in holders[:2]]
    assert slots == [8, 8]


def test_the_shared_budget_holds_whatever_is_lost_or_killed() -> None:
    chance, gate, now = random.Random(3), Gate(max_cost=10.0, is_fixed=True), 0.0
    holders: dict[str, LeaseHolder] = {}
    spent: dict[str, RunSpending] = {}
    for step in range(3000):
        now += 0.05
        name = f"run {chance.randrange(6)}"
        if name not in holders or chance.random() < 0.01:  # begins, or is killed and comes back
            holders[name] = LeaseHolder(f"{name} {step}", GROUP, Terms({}), run=name)
            before = spent.get(name, RunSpending(committed=100.0))
            spent[name] = RunSpending(before.committed, 0.0, before.requests, 0.02)
        holder, run = holders[name], spent[name]
        message = holder.message(now, 8, 8, run)
        if holder.lease.cost_limit is not None and holder.can_spend(run, 0.02):  # while the message is on its way
            spent[name] = run = RunSpending(run.committed + 0.02, run.reserved, run.requests + 1, 0.02)
        lease = gate.exchange(message, now) if chance.random() < 0.9 else None
        if chance.random() < 0.1:
            gate = Gate.from_json(json.loads(json.dumps(gate.as_json())))
            gate.is_fixed = True
        if lease is not None and chance.random() < 0.9:  # else the reply is lost
            holder.accept(lease, now)
        while holder.lease.cost_limit is not None and holder.can_spend(run, 0.02) and chance.random() < 0.7:
            spent[name] = run = RunSpending(run.committed + 0.02, run.reserved, run.requests + 1, 0.02)
    total = sum(each.committed - 100.0 for each in spent.values())
    assert 9.5 <= total <= 10.0 + 1e-6
    assert "the shared budget of $10: " in gate.budget.spent(0.6, gate.running())


def test_a_gate_is_the_same_after_it_was_kept_as_json() -> None:
    shared = Shared(tpm=300_000, used=350, clients=3)
    shared.play(20)
    kept = json.dumps(shared.gate.as_json())
    assert json.dumps(Gate.from_json(json.loads(kept)).as_json()) == kept
    shared.gate = Gate.from_json(json.loads(kept))
    shared.play(40)
    assert shared.taken(20, 40) >= 0.97 * 100_000


def test_a_gate_that_was_restarted_learns_what_its_clients_do() -> None:
    shared = Shared(tpm=300_000, clients=3)
    shared.play(30)
    shared.gate = Gate()
    shared.play(70)
    assert shared.most_in_a_minute() <= 1.02 * 300_000  # it begins with half a second of the limit, as each gate
    assert shared.taken(35, 70) >= 0.97 * 35 * 5_000
    assert shared.refused() == 0


def test_runs_with_other_limits_budgets_or_versions_are_refused_with_the_reason() -> None:
    gate = Gate()
    ask(gate, LeaseHolder("a", GROUP, Terms({"tokens": 1000.0}, max_cost=5.0)), 0.0)
    other = LeaseHolder("b", GROUP, Terms({"tokens": 2000.0}, max_cost=5.0)).message(0.1, 1, 1)
    assert "a limit of 2,000 tokens per minute" in gate.exchange(other, 0.1).problem
    other = LeaseHolder("b", GROUP, Terms({"tokens": 1000.0}, max_cost=6.0)).message(0.1, 1, 1)
    assert "shared budget of 6 dollars, and the others have 5 dollars" in gate.exchange(other, 0.1).problem
    assert "version 99" in gate.exchange(LeaseRequest("c", GROUP, protocol=99), 0.1).problem
    assert not gate.exchange(other, 0.1 + DEAD_AFTER + 0.1).problem  # the first has gone


def test_limits_that_a_person_changes_hold_for_all() -> None:
    gate, (a, b) = Gate(), [LeaseHolder(name, GROUP, Terms({"requests": 600.0})) for name in ("a", "b")]
    ask(gate, a, 0.0), ask(gate, b, 0.0)
    b.change_limits({"requests": 60.0})
    assert b.has_news
    ask(gate, b, 0.1)
    assert ask(gate, a, 0.2).limits == {"requests": 60.0}


def test_a_lease_that_is_not_renewed_runs_out() -> None:
    gate, holder = Gate(), LeaseHolder("a", GROUP, Terms({"requests": 6000.0}))
    lease = ask(gate, holder, 5.0)
    assert holder.wait(1.0, 5.0 + lease.valid - 0.01) == 0
    assert holder.wait(1.0, 5.0 + lease.valid) == math.inf


def test_the_key_is_not_in_the_name_of_its_limits() -> None:
    assert GROUP.startswith("api.example.org gpt-6-luna ")
    assert "canary" not in GROUP
    assert group_name("api.example.org", "sk-another", "gpt-6-luna") != GROUP


BROKEN: tuple[object, ...] = (
    [],
    {"client": 1, "group": "g"},
    {"client": "a"},
    {"client": "a", "group": "g", "stated": 3},
)


@pytest.mark.parametrize("values", BROKEN)
def test_a_message_of_another_form_is_refused(values: object) -> None:
    with pytest.raises(MessageError):
        LeaseRequest.from_json(values)


def test_messages_survive_json() -> None:
    holder = LeaseHolder("a", GROUP, Terms({"tokens": 1e6}, 5.0))
    holder.refuse("", 3.0, 0.0, 1.0)
    message = holder.message(2.0, 8, 8)
    assert LeaseRequest.from_json(json.loads(json.dumps(message.as_json()))) == message
    lease = Gate().exchange(message, 0.0)
    assert Lease.from_json(json.loads(json.dumps(lease.as_json()))) == lease
