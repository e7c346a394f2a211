"""The sampling parameters, the exact body of a request, and its key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import orjson

from syphus.types import Message, Request

KEY_BYTES = 16  #: of BLAKE2b; the chance that two of a billion requests collide is 1 in 10^20


class Sampling:
    """The parameters that go out with every request; `None` leaves one out.

    Some models don't take all of them. `adapt` makes do without: `max_tokens` is then sent by its newer name, any other
    is left to the model's default.
    """

    def __init__(self, model: str, parameters: Mapping[str, object], adapted: Iterable[str] = ()) -> None:
        self.model = model
        self._asked = {name: value for name, value in parameters.items() if value is not None}
        self._offered: set[str] = set()
        self.adapted: list[str] = list(dict.fromkeys(adapted))

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters as they are sent."""
        sent = {k: v for k, v in self._asked.items() if k not in self.adapted or k == "max_tokens"}
        if "max_tokens" in self.adapted and "max_tokens" in sent:
            sent["max_completion_tokens"] = sent.pop("max_tokens")
        return sent

    def adapt(self, parameter: str) -> bool:
        """Does without a parameter from now on; False where it was not sent in the first place."""
        if parameter not in self._asked and parameter not in self._offered:
            return False
        if parameter not in self.adapted:
            self.adapted.append(parameter)
        return True

    def request(
        self,
        messages: Sequence[Message],
        sample: int = 0,
        owner: str = "",
        offered: Mapping[str, object] | None = None,
    ) -> Request:
        """The request for these messages: its key is the hash of the very bytes that are sent.

        The fields are sorted, for the order in which somebody wrote them into a file says nothing. `owner` makes it
        another request than the same one of somebody else. `offered` are fields of this request alone, such as the
        schema of its answer, that go along as long as the model takes them; they may not come with every request too.
        """
        own = {name: value for name, value in (offered or {}).items() if name not in self.adapted}
        self._offered.update(own)
        fields = {"model": self.model, "messages": messages, **self.parameters, **own}
        body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
        key = hashlib.blake2b(body, digest_size=KEY_BYTES)
        key.update(owner.encode())
        return Request(key.digest(), body, sample)
