"""The hosts of photos: what a failed download says about its photo, and what about the host.

A photo is gone for good only if its host says so. A page, an empty reply, an error or silence says nothing about it; if
many different photos of a host fail so in a row, the host is left out.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

from syphus.errors import ProviderError
from syphus.images.convert_state import DownloadLog

MAX_IN_A_ROW = 10  #: different photos that fail, after which the failures say nothing about the photos
SHOWN = 80  #: characters of an address in a message


class GoneError(Exception):
    """The photo is gone for good."""


class FailedError(Exception):
    """An attempt failed; a later one may succeed."""


class NoPhotoError(FailedError):
    """What came is no photo, or too late. It says nothing about the photo, and asking again at once would not help."""


class RefusedError(NoPhotoError):
    """The host refuses a photo: that one, if the host has others for us."""


class NoAddressError(FailedError):
    """What should be an address is not a valid one. It is not asked for again, and says nothing about the server."""


class BusyError(FailedError):
    """The server asked for a pause, which holds back all requests."""


class Hosts:
    """What the hosts have answered so far, which tells a photo without an answer from a host without one."""

    def __init__(self, log: DownloadLog) -> None:
        self._log = log
        self._in_a_row: Counter[str] = Counter()
        self._failures_in_a_row = 0  # at hosts that are not left out
        self._with_photos: set[str] = set()
        self._refused: dict[str, dict[str, str]] = {}  # by host: addresses with the reasons
        self._left_out: dict[str, str] = {}

    def check(self, host: str) -> None:
        """Raise `NoPhotoError` if a host is left out."""
        if problem := self._left_out.get(host):
            raise NoPhotoError(f"not requested, as {MAX_IN_A_ROW} photos of {host} failed in a row: {problem}")

    def is_left_out(self, host: str) -> bool:
        """Return whether too many photos of a host failed in a row."""
        return host in self._left_out

    def has_answered(self, host: str, is_photo: bool) -> None:
        """Note that a host has sent a photo, or has said that one is gone."""
        self._failures_in_a_row = 0
        self._in_a_row.pop(host, None)
        if is_photo:
            self._with_photos.add(host)
            self._note_refused(host)

    def has_refused(self, host: str, url: str, reason: str) -> None:
        """Note that a host refuses a photo. It is gone once the host has sent another one."""
        self._refused.setdefault(host, {})[url] = reason

    def has_failed(self, host: str, problem: str, is_new: bool) -> None:
        """Note that a photo failed, `is_new` if it had not failed in an earlier download.

        Raises `ProviderError` if the last ones failed at every host. One that fails each time says nothing new.
        """
        self._in_a_row[host] += 1
        self._failures_in_a_row += is_new
        if self._in_a_row[host] >= MAX_IN_A_ROW:
            self._left_out[host] = problem
            self._refused.pop(host, None)
            self._failures_in_a_row = 0
        if self._failures_in_a_row >= MAX_IN_A_ROW:
            raise _outage(host, problem)

    def finish(self, is_outage: bool) -> None:
        """Note what the end of a download makes certain. Raises `ProviderError` for an outage if a host is left out."""
        for host in self._with_photos - self._left_out.keys():
            self._note_refused(host)
        for host, problem in self._left_out.items():
            if is_outage:
                raise _outage(host, problem)

    def _note_refused(self, host: str) -> None:
        for url, reason in self._refused.pop(host, {}).items():
            self._log.add(url, reason, gone=True)


def _outage(host: str, problem: str) -> ProviderError:
    return ProviderError(
        f"No photo can be downloaded ({host}: {problem}). {MAX_IN_A_ROW} different photos in a row failed, which says "
        "nothing about them: they will be requested again."
    )


def host_of(url: str) -> str:
    """Return the host of an address with its port, in a length that fits into a message."""
    with suppress(ValueError):
        return urlsplit(url.strip()).netloc[:SHOWN]
    return url[:SHOWN]
