"""Which `prompt_cache_key` a request gets, so that as few requests as possible write their prefix into the cache.

A server keeps a prefix on the machine that its key leads to, and one machine takes few requests a minute: the others go
to machines that have to write the prefix again. So a prefix has as many keys as the rate that is really
reached asks for, and each is used for no more requests a minute than its machine takes. The first request of a key goes
alone: those that are sent before its answer would all write. It goes before it is needed, while the other keys still
have room, so nothing waits for it in a run that is under way. A key that was not used for its lifetime is cold again.

A key is chosen when a request is sent, not by its row: keys fill evenly and in order, whatever is left of a run that is
resumed. They always have the same names, so a resumed run finds what the last one wrote. It knows
how often the last one, such as the pilot of a quote, has used them within a minute: their machines are still busy.

Times are seconds of a monotonic clock.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import orjson

from syphus.config.endpoint_settings import EndpointConfig
from syphus.config.model_table import PromptCache
from syphus.config.settings import Config
from syphus.endpoints.prompt_cache import cache_key, mark_body
from syphus.endpoints.request import as_it_is
from syphus.exchange import SharedPrefix, Usage

WINDOW = 61.0  #: seconds in which a key is used as often as its machine takes in a minute; requests vary on their way
FIRST_PATIENCE, MIN_PATIENCE = 10.0, 1.0  #: seconds that others wait for the first answer to a key
PATIENCE_FACTOR = 4.0  #: the same, in the slowest such answer so far
SPARE_KEYS = 1.05  #: share of the keys that a rate limit asks for
JUDGED_AFTER = 20  #: requests that should have read from the cache
MIN_READ_SHARE = 0.5  #: of them, or something is wrong
NOTED_EVERY = 15.0  #: seconds after which a session that may be killed notes again which keys it uses
LONG_IDLE = 300.0  #: seconds without a request, after which a miss may be a prefix that was dropped
_DEFAULT_MINUTES = 30.0


@dataclass(slots=True)
class _Key:
    """One key of a prefix. `life` counts how often it began; places of an earlier life are void."""

    life: int = 0
    is_warm: bool = False
    last_used: float = 0.0
    idle: float = 0.0  # seconds without a request, before the newest one
    recent: int = 0  # requests within the window


class KeyUse(NamedTuple):
    """When a key was last used, and how often within the window before."""

    last: float
    recent: int


class KeyPool:
    """The keys of one prefix, by number from 0. `per_minute` is what one takes, `lifetime` is in seconds.

    `used` says how an earlier session has used keys, by number.
    """

    def __init__(self, per_minute: float, lifetime: float, used: Mapping[int, KeyUse] = MappingProxyType({})) -> None:
        self._per_minute = max(1, int(per_minute)) if math.isfinite(per_minute) else 0
        self._lifetime = lifetime
        self._keys: list[_Key] = []
        self._places: list[tuple[int, int]] = []  # a heap of numbers and lives: one for each request that may be sent
        self._sent: deque[tuple[float, int, int]] = deque()  # when, number, life: places that come back
        self._opened: dict[int, float] = {}  # keys whose first request is in flight, and since when
        self._ended: list[int] = []  # a heap of keys that will be cold again
        self._resting: list[tuple[float, int]] = []  # a heap of keys whose machines are busy, and until when
        self._patience = FIRST_PATIENCE
        for number in range(max(used, default=-1) + 1):
            use = used.get(number, KeyUse(-math.inf, 0))
            self._keys.append(_Key(last_used=use.last, recent=use.recent))
            is_full = 0 < self._per_minute - 1 <= use.recent
            heapq.heappush(self._resting, (use.last + WINDOW if is_full else -math.inf, number))
        self._sent.extend(sorted((use.last, number, 0) for number, use in used.items() for _ in range(use.recent)))

    @property
    def used(self) -> dict[int, KeyUse]:
        """How keys were used, by number."""
        return {
            number: KeyUse(key.last_used, key.recent)
            for number, key in enumerate(self._keys)
            if math.isfinite(key.last_used)
        }

    @property
    def size(self) -> int:
        """How many keys were used so far."""
        return len(self._keys)

    def wait(self, demand: int, most: float, now: float) -> float:
        """Return the seconds until a request may be sent; 0 is now, infinity not before an answer comes.

        `demand` is how many requests will want to be sent soon, this one included; `most` how many keys there may be.
        """
        if self._has_place(now) or self._may_open(demand, most, now):
            return 0.0
        times = [opened + self._patience for opened in self._opened.values() if opened + self._patience > now]
        if self._sent:
            times.append(self._sent[0][0] + WINDOW)
        return max(0.0, min(times, default=math.inf) - now)

    def take(self, demand: int, most: float, now: float) -> int:
        """Return the key of a request that is sent now."""
        has_place = self._has_place(now)
        if self._may_open(demand - len(self._places), most, now) or not has_place:
            number = self._open(now)
        elif self._per_minute:
            number = heapq.heappop(self._places)[0]
        else:
            number = 0
        key = self._keys[number]
        key.idle, key.last_used = now - key.last_used, now
        if self._per_minute:
            key.recent += 1
            self._sent.append((now, number, key.life))
        return number

    def is_warm(self, number: int) -> bool:
        """Return whether a request with this key should find the prefix."""
        return self._keys[number].is_warm

    def idle(self, number: int) -> float:
        """Return the seconds without a request with this key, before the newest one."""
        return self._keys[number].idle

    def end(self, number: int, answered: bool, now: float) -> None:
        """Record that a request with this key has ended. Without an answer, the first one has written nothing."""
        key, opened = self._keys[number], self._opened.get(number)
        if answered:
            key.last_used = now
        if opened is None or key.is_warm:
            return
        del self._opened[number]
        if not answered:
            self._close(number)
            return
        key.is_warm = True
        self._patience = max(MIN_PATIENCE, PATIENCE_FACTOR * (now - opened))
        for _ in range(self._per_minute - key.recent):
            heapq.heappush(self._places, (number, key.life))

    def _open(self, now: float) -> int:
        number = heapq.heappop(self._ended) if self._ended else len(self._keys)
        if number == len(self._keys):
            self._keys.append(_Key())
        self._opened[number] = now
        return number

    def _close(self, number: int) -> None:
        key = self._keys[number]
        key.life, key.is_warm, key.recent = key.life + 1, False, 0
        heapq.heappush(self._ended, number)

    def _has_place(self, now: float) -> bool:
        while self._resting and self._resting[0][0] <= now:
            heapq.heappush(self._ended, heapq.heappop(self._resting)[1])
        while self._sent and self._sent[0][0] <= now - WINDOW:
            _, number, life = self._sent.popleft()
            key = self._keys[number]
            if key.life == life:
                key.recent -= 1
                if key.is_warm:
                    heapq.heappush(self._places, (number, life))
        if not self._per_minute:
            return self._is_alive(0, now)
        while self._places:
            number, life = self._places[0]
            if self._keys[number].life == life and self._is_alive(number, now):
                return True
            heapq.heappop(self._places)
        return False

    def _is_alive(self, number: int, now: float) -> bool:
        """Return whether a key is warm; one that was not used for too long is cold again."""
        if number >= len(self._keys) or not self._keys[number].is_warm:
            return False
        if now - self._keys[number].last_used <= self._lifetime:
            return True
        self._close(number)
        return False

    def _may_open(self, demand: int, most: float, now: float) -> bool:
        """Return whether the demand needs one more key than those that are about to be warm."""
        patient = [opened for opened in self._opened.values() if opened + self._patience > now]
        in_use = len(self._keys) - len(self._ended) - len(self._resting)
        if in_use >= max(1.0, most) and (patient or self._sent):
            return False
        coming = len(patient) * (self._per_minute - 1) if self._per_minute else (math.inf if patient else 0)
        return demand > coming


def cache_keys_name(config: Config, endpoint: EndpointConfig) -> str:
    """Return the name under which a run keeps the keys that it has used at an endpoint."""
    return f"cache keys {config.model} {endpoint.base_url} {endpoint.deployment}".rstrip()


def used_keys(text: str) -> dict[str, dict[int, KeyUse]]:
    """Return how keys were used, in seconds since the epoch, by prefix and number, from `PromptCaches.dumps`."""
    return {
        digest: {int(number): KeyUse(*use) for number, use in keys.items()}
        for digest, keys in orjson.loads(text).items()
    }


def count_warm_keys(text: str, digest: str, rules: PromptCache, wall_time: float) -> int:
    """Return how many keys of a prefix a session finds that begins now: still in the cache, and not busy."""
    lifetime, limit = 60 * (rules.minutes or _DEFAULT_MINUTES), rules.requests_per_minute or math.inf
    return sum(
        wall_time - use.last <= lifetime and (wall_time - use.last > WINDOW or use.recent < limit / 2)
        for use in used_keys(text).get(digest, {}).values()
    )


class PromptCaches:
    """The prompt caches of one endpoint: a pool of keys for each prefix, and whether they bring what they should.

    `rules` are those of the model, None if it has no cache that needs anything. `say` gets one line, at most once.
    `name` is the name under which the ledger keeps the keys that were used.
    """

    def __init__(self, rules: PromptCache | None, say: Callable[[str], None] = lambda _: None, name: str = "") -> None:
        self.rules = rules
        self.name = name
        self._say = say
        self._pools: dict[str, KeyPool] = {}
        self._used: dict[str, dict[int, KeyUse]] = {}  # as in `KeyPool`, by prefix, from an earlier session
        self._seen: set[str] = set()  # prefixes that were answered once
        self._noted_until = 0.0
        self._watch = _Watch()
        self._judged = False
        self._unreported = 0  # answers without a usage, so nothing shows whether there is a cache
        self._without_effect = False  # the server reads and writes nothing: nobody waits for a key any more

    def wait(self, prefix: SharedPrefix | None, demand: int, per_minute: float, now: float) -> float:
        """Return the seconds until a request with this prefix may be sent. See `KeyPool.wait`.

        `per_minute` is the known limit on requests per minute, or infinity.
        """
        if prefix is None or prefix.mark < 0 or self._without_effect or self.rules is None:
            return 0.0
        return self._pool(prefix).wait(demand, self._most_keys(per_minute), now)

    def take(self, prefix: SharedPrefix | None, demand: int, per_minute: float, now: float) -> int:
        """Return the number of the key for a request that is sent now, -1 for none."""
        if prefix is None or prefix.mark < 0 or self.rules is None:
            return -1
        if self._without_effect:
            return 0
        return self._pool(prefix).take(demand, self._most_keys(per_minute), now)

    def finisher(self, prefix: SharedPrefix | None, key: int) -> Callable[[bytes], bytes]:
        """Return a function that makes a finished body as it is sent with this key. It can be pickled."""
        if prefix is None or self.rules is None or self.rules.kind != "marked":
            return as_it_is
        name = cache_key(prefix, key) if key >= 0 else ""
        return partial(mark_body, prefix=prefix, key=name, rules=self.rules)

    def body(self, body: bytes, prefix: SharedPrefix | None, key: int) -> bytes:
        """Return a finished body as it is sent with this key."""
        return self.finisher(prefix, key)(body)

    def end(self, prefix: SharedPrefix | None, key: int, usage: Usage | None, now: float) -> None:
        """Record that a request has ended; `usage` is that of its answer, None without one."""
        if prefix is None or self.rules is None or not prefix.digest:
            return
        was_warm, idle = prefix.digest in self._seen, 0.0
        if key >= 0 and not self._without_effect:
            pool = self._pool(prefix)
            was_warm, idle = pool.is_warm(key), pool.idle(key)
            pool.end(key, usage is not None, now)
        if usage is None:
            return
        if key < 0:
            self._seen.add(prefix.digest)
        if usage.estimated:
            self._unreported += 1
            self._without_effect = self._without_effect or self._unreported >= JUDGED_AFTER
            return
        if was_warm and (key >= 0 or self._is_surely_cached(prefix)) and not self._judged:
            self._watch.add(prefix, usage, idle)
            self._judge()

    def load(self, text: str, wall_time: float, now: float) -> None:
        """Take over what `dumps` of an earlier session returned. Call it before anything else."""
        since = wall_time - now
        self._used = {
            digest: {number: KeyUse(use.last - since, use.recent) for number, use in keys.items()}
            for digest, keys in used_keys(text).items()
        }

    def dumps(self, wall_time: float, now: float) -> str:
        """Return how keys were used that may still be in the cache, with seconds since the epoch, as JSON."""
        used = self._used | {digest: pool.used for digest, pool in self._pools.items()}
        since = wall_time - now
        kept = {
            digest: {
                str(number): (round(use.last + since, 1), use.recent)
                for number, use in keys.items()
                if now - use.last <= self._lifetime
            }
            for digest, keys in used.items()
        }
        return orjson.dumps({digest: keys for digest, keys in kept.items() if keys}).decode()

    @property
    def has_keys(self) -> bool:
        """Whether any key was used."""
        return bool(self._pools)

    def is_noted(self, now: float) -> bool:
        """Return whether nothing new is to be noted, for a session that is killed; otherwise note that it is."""
        if now < self._noted_until or not self._pools:
            return True
        self._noted_until = now + NOTED_EVERY
        return False

    def _judge(self) -> None:
        watch, rules = self._watch, self.rules
        assert rules is not None
        if watch.requests < JUDGED_AFTER:
            return
        if rules.kind == "prefix" and watch.reads:  # how many there should be depends on the rate
            self._judged = True
            return
        if watch.reads >= MIN_READ_SHARE * watch.requests:
            self._watch = _Watch()
            return
        self._judged = True
        self._without_effect = rules.kind == "marked" and not watch.reads and not watch.writes
        self._say(watch.finding(rules))

    def _is_surely_cached(self, prefix: SharedPrefix) -> bool:
        """Return whether a prefix that the server finds by itself is long enough, although its tokens are estimated."""
        assert self.rules is not None
        return self.rules.kind == "prefix" and prefix.tokens >= 1.5 * self.rules.minimum

    def _pool(self, prefix: SharedPrefix) -> KeyPool:
        assert self.rules is not None
        pool = self._pools.get(prefix.digest)
        if pool is None:
            per_minute, used = self.rules.requests_per_minute or math.inf, self._used.get(prefix.digest, {})
            pool = self._pools[prefix.digest] = KeyPool(per_minute, self._lifetime, used)
        return pool

    @property
    def _lifetime(self) -> float:
        return 60 * ((self.rules.minutes if self.rules else None) or _DEFAULT_MINUTES)

    def _most_keys(self, per_minute: float) -> float:
        limit = self.rules.requests_per_minute if self.rules else None
        return math.ceil(SPARE_KEYS * per_minute / limit) if limit and math.isfinite(per_minute) else math.inf


class _Watch:
    """What the answers say that should have read their prefix from the cache."""

    def __init__(self) -> None:
        self.requests = self.reads = self.writes = self.prompt_tokens = self.prefix_tokens = self.late = 0

    def add(self, prefix: SharedPrefix, usage: Usage, idle: float) -> None:
        self.requests += 1
        self.reads += usage.cached_tokens > 0
        self.late += not usage.cached_tokens and idle > LONG_IDLE
        self.writes += usage.cache_write_tokens > 0
        self.prompt_tokens += usage.prompt_tokens
        self.prefix_tokens += prefix.tokens

    def finding(self, rules: PromptCache) -> str:
        """Return what is wrong, with the likely cause."""
        tokens = self.prefix_tokens // self.requests
        found = (
            f"Of {self.requests} requests that should have read their first {tokens:,} tokens or so from the prompt "
            f"cache, {self.reads} did"
        )
        if self.prompt_tokens < rules.minimum * self.requests or (not self.writes and tokens < 1.5 * rules.minimum):
            return f"{found}. The prefix is probably shorter than the minimum of {rules.minimum:,} tokens."
        if self.writes and self.late > (self.requests - self.reads) / 2:
            return f"{found}, after pauses. Probably the server keeps them for less than {rules.minutes} minutes."
        if self.writes:
            return (
                f"{found}, and {self.writes} wrote them again. A proxy probably changes the messages, "
                "or other programs use the same keys."
            )
        if rules.kind == "prefix":
            limit = f" above {rules.requests_per_minute} a minute" if rules.requests_per_minute else ""
            return f"{found}. Probably requests{limit} go to several machines, or the server does not cache."
        return f"{found}, and none wrote them. The server probably ignores the marks; the cache is not waited for."
