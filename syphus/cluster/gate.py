"""The gate of all keys and of one budget: what a shared folder and `syphus gate` keep, and a Ray driver can.

    lease = gate.exchange(request, now)

It has no clock, network or disk: times come in as arguments, and `as_json` and `from_json` make it a value. A client
asks every `lease.ask_again` seconds, and sends only what its newest lease allows; `LeaseHolder` sees to that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from syphus.cluster.key_gate import KeyGate
from syphus.cluster.messages import Lease, LeaseRequest, protocol_problem
from syphus.cluster.shared_budget import RunAccount, SharedBudget

FORGET_AFTER = 3_600.0  #: seconds after which a key without clients is forgotten


def group_name(address: str, key: str, model: str) -> str:
    """Return the name of the limits that all requests with this key share, for `LeaseRequest.group`.

    It begins with host and model, for people. The key is in it as a hash only; `address` is a host with its port.
    """
    digest = hashlib.blake2b(
        "\n".join((address, key, model)).encode(), digest_size=12, person=b"syphus gate"
    ).hexdigest()
    return f"{address} {model} {digest}"


class Gate:
    """The gates of all keys, and the budget of all runs. `has_promised` says that the budget's accounts have grown.

    `max_cost` (dollars) and `max_requests` are for all runs together. Where `is_fixed` is False, the first run that
    joins while no other is there may set them. Those of the others must be the same, or None.
    """

    def __init__(self, max_cost: float | None = None, max_requests: int | None = None, is_fixed: bool = False) -> None:
        self.is_fixed = is_fixed
        self.keys: dict[str, KeyGate] = {}
        self.budget = SharedBudget(max_cost, max_requests)
        self.has_promised = False
        self._used_at: dict[str, float] = {}

    def exchange(self, request: LeaseRequest, now: float) -> Lease:
        """Take in a message, and return the reply. `now` is in seconds of a monotonic clock."""
        self.drop_dead(now)
        problem = protocol_problem(request.protocol, "another run") or self._budget_problem(request)
        if problem:
            return Lease(problem=problem)
        key = self.keys.get(request.group)
        if key is None:
            self._forget(now)
            key = self.keys[request.group] = KeyGate(now)
        self._used_at[request.group] = now
        lease = key.exchange(request, now)
        return lease if lease.problem or not request.run else self._with_budget(lease, request)

    def drop_dead(self, now: float) -> None:
        """Drop clients that are not heard of any more."""
        for each in self.keys.values():
            each.drop_dead(now)

    def running(self) -> set[str]:
        """Return the runs that have a client."""
        return {client.run for key in self.keys.values() for client in key.clients.values()}

    def _with_budget(self, lease: Lease, request: LeaseRequest) -> Lease:
        budget = self.budget
        before = budget.accounts.get(request.run)
        limits_before = None if before is None else (before.cost_limit, before.request_limit)
        spent = (request.committed, request.reserved, request.requests)
        want = (0.0, 0) if request.leaves else (request.want_cost, request.want)
        cost_limit, request_limit = budget.grant(request.run, spent, *want, request.next_cost)
        if cost_limit is None and request_limit is None:
            return lease
        after = budget.accounts[request.run]
        self.has_promised |= limits_before is None or (after.cost_limit, after.request_limit) > limits_before
        why = budget.spent(request.next_cost, self.running())
        return replace(lease, cost_limit=cost_limit, request_limit=request_limit, spent=why)

    def _budget_problem(self, request: LeaseRequest) -> str:
        budget = self.budget
        if not (self.is_fixed or self.running()):  # the first one says what holds from now on
            budget.max_cost = budget.max_cost if request.max_cost is None else request.max_cost
            budget.max_requests = budget.max_requests if request.max_requests is None else request.max_requests
        for ours, theirs, what in (
            (request.max_cost, budget.max_cost, "dollars"),
            (request.max_requests, budget.max_requests, "requests"),
        ):
            if ours is not None and ours != theirs:
                shown = "no limit" if theirs is None else f"{theirs:,g} {what}"
                return f"this run has a shared budget of {ours:,g} {what}, and the others have {shown}. Use one of them"
        return ""

    def _forget(self, now: float) -> None:
        for name, used_at in list(self._used_at.items()):
            if now - used_at > FORGET_AFTER:
                self.keys.pop(name, None)
                del self._used_at[name]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values, infinities among them."""
        keys = {name: key.as_json() for name, key in self.keys.items()}
        return {"keys": keys, "used_at": self._used_at, "budget": asdict(self.budget)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Gate:
        """Return the gate that `as_json` has described."""
        gate = cls()
        gate.keys = {name: KeyGate.from_json(each) for name, each in values["keys"].items()}
        gate._used_at = dict(values["used_at"])
        accounts = {name: RunAccount(**each) for name, each in values["budget"]["accounts"].items()}
        gate.budget = SharedBudget(**{**values["budget"], "accounts": accounts})
        return gate
