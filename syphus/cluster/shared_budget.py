"""The dollars and the requests that all runs of a gate may spend together, and the file that keeps them over a crash.

A run gets a limit that is a little above what it has committed, and asks for more before it needs it. The sum of all
limits never exceeds the budget, so it holds whatever dies: the limit of a run that was killed stays charged until that
run comes back and says what its ledger knows. What a run had spent before it joined does not count.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from syphus.errors import ConfigError
from syphus.io.durable import replace_file

FILE = "spent.json"  #: what each run may have spent
_ROUNDING = 1e-9  # dollars by which sums may be off


@dataclass(slots=True)
class RunAccount:
    """What one run had committed when it joined, what it has committed now, and what it may commit, in total."""

    cost_before: float
    requests_before: int
    committed: float  #: dollars spent or reserved
    reserved: float  #: dollars of it that are only reserved
    requests: int
    cost_limit: float
    request_limit: int


@dataclass(slots=True)
class SharedBudget:
    """The accounts of all runs that ever joined. `None` is no limit. All its fields are JSON values by `asdict`."""

    max_cost: float | None = None
    max_requests: int | None = None
    version: int = 0  #: increases each time that it is made durable
    accounts: dict[str, RunAccount] = field(default_factory=dict)

    @property
    def charged_cost(self) -> float:
        """Dollars that the runs may have committed since they joined."""
        return sum(max(each.cost_limit, each.committed) - each.cost_before for each in self.accounts.values())

    @property
    def charged_requests(self) -> int:
        """Requests that the runs may have sent since they joined."""
        return sum(max(each.request_limit, each.requests) - each.requests_before for each in self.accounts.values())

    def grant(
        self, run: str, spent: tuple[float, float, int], want_cost: float, want_requests: int, next_cost: float = 0.0
    ) -> tuple[float | None, int | None]:
        """Return the dollars and requests that a run may commit in total; `None` is no limit.

        `spent` are the dollars that it has committed, those of them that are only reserved, and its requests. With its
        message the run gives back what it may commit beyond `want_cost` and `want_requests`, and so it may not use that
        from then on. It also gives back what is too little for its next request, of `next_cost`, and others may need.
        The caller must make the change durable before the run hears of it.
        """
        committed, reserved, requests = spent
        account = self.accounts.get(run)
        if account is None:
            account = RunAccount(committed, requests, committed, reserved, requests, committed, requests)
            self.accounts[run] = account
        account.committed, account.reserved, account.requests = committed, reserved, requests
        wanted = committed + max(0.0, want_cost)
        account.cost_limit = max(committed, min(account.cost_limit, wanted))
        asked = requests + max(0, want_requests)
        account.request_limit = max(requests, min(account.request_limit, asked))
        if self.max_cost is not None:
            left = max(0.0, self.max_cost - self.charged_cost)
            account.cost_limit += min(left, wanted - account.cost_limit)
            if account.cost_limit + _ROUNDING < committed + next_cost:
                account.cost_limit = committed
        if self.max_requests is not None:
            free = max(0, self.max_requests - self.charged_requests)
            account.request_limit += min(free, asked - account.request_limit)
        return (
            None if self.max_cost is None else account.cost_limit,
            None if self.max_requests is None else account.request_limit,
        )

    def spent(self, next_cost: float, running: Collection[str]) -> str:
        """Return why no run can commit `next_cost` dollars and a request more, or "".

        What `running` runs have only reserved may come back, so it does not count. What others were allowed does.
        """
        cost, requests = 0.0, 0
        for name, each in self.accounts.items():
            if name in running:
                cost += each.committed - each.reserved - each.cost_before
                requests += each.requests - each.requests_before
            else:
                cost += max(each.cost_limit, each.committed) - each.cost_before
                requests += max(each.request_limit, each.requests) - each.requests_before
        if self.max_requests is not None and requests >= self.max_requests:
            return f"The shared budget of {self.max_requests:,} requests is spent."
        if self.max_cost is not None and cost + next_cost > self.max_cost + _ROUNDING:
            return (
                f"A request may cost up to ${next_cost:.4f}, which is more than is left of the shared budget of "
                f"${self.max_cost:g}: ${cost:.4f} is spent or perhaps billed."
            )
        return ""


def write_budget(folder: Path, budget: SharedBudget) -> None:
    """Make a budget durable. Raises `StorageError` if the disk fails."""
    with replace_file(folder / FILE) as file:
        file.write(orjson.dumps(asdict(budget), option=orjson.OPT_INDENT_2))


def read_budget(folder: Path) -> SharedBudget | None:
    """Return the budget that was kept, or None. Raises `ConfigError` if the file is not one."""
    path = folder / FILE
    try:
        values = orjson.loads(path.read_bytes())
        accounts = {name: RunAccount(**each) for name, each in values["accounts"].items()}
        return SharedBudget(**{**values, "accounts": accounts})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path} is damaged. It holds what runs have spent: restore it, or delete it to begin at zero."
        ) from error
