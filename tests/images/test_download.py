"""Photos from the web: a real server on loopback that is busy, broken, slow, or has nothing any more."""

from __future__ import annotations

import asyncio
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from media import skipped, write_json, write_still

from syphus.errors import ProviderError, StorageError
from syphus.formats.mimicit.images import read_image_ids
from syphus.images.convert import convert
from syphus.images.convert_options import ConvertOptions
from syphus.images.convert_state import DOWNLOADS_FILE, DownloadLog
from syphus.images.download import DownloadPolicy, DownloadResult, Photo, download

PAUSE = 0.05
QUICK = DownloadPolicy(per_second=500, first_wait=0.01, max_pause=0.2)


#: What servers and annotations have in the place of an address.
NOWHERE = (
    "http://[half/a.jpg", "http://a b:port/", "https://", "http://host:99999999/a.jpg",
    f"http://{'l' * 70}.example/", "http://\u2100.example/",
)  # fmt: skip


class Flickr:
    """Serves `/good/N.jpg` and faults by their names; counts what it was asked for."""

    def __init__(self, picture: bytes) -> None:
        self.asked: Counter[str] = Counter()
        self.times: list[float] = []
        self.url = ""
        self.is_portal = True
        self._picture = picture

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        self.asked[request.path] += 1
        self.times.append(time.monotonic())
        first = self.asked[request.path] == 1
        if kind == "good" or (kind in ("busy", "broken", "cut") and not first):
            return web.Response(body=self._picture + request.path.encode(), content_type="image/jpeg")
        if kind == "busy":
            return web.Response(status=429, headers={"retry-after": str(PAUSE)})
        if kind == "cut":
            cut = web.StreamResponse(headers={"content-length": "99999", "content-type": "image/jpeg"})
            await cut.prepare(request)
            await cut.write(self._picture)
            assert request.transport is not None
            request.transport.abort()
            return cut
        if kind == "same":
            return web.Response(body=self._picture, content_type="image/jpeg")
        if kind == "unavailable":
            raise web.HTTPFound("/pw/images/en-us/photo_unavailable.png")
        if kind == "circle":
            raise web.HTTPFound(request.path)
        if kind == "elsewhere":
            raise web.HTTPFound("file:///etc/passwd")
        if kind == "nowhere":
            number = int(request.match_info["name"].partition(".")[0])
            return web.Response(status=302, headers={"location": NOWHERE[number]})
        if kind == "chain":  # /chain/1.jpg, then /chain/1.jpg?5, and so on down to the photo
            left = int(request.query_string or 5)
            raise web.HTTPFound(f"{request.path}?{left - 1}" if left > 1 else f"/good{request.path}")
        if kind == "late":
            await asyncio.sleep(30)
        if kind in ("portal", "empty", "refused") and self.is_portal:
            if kind == "refused":
                return web.Response(status=403)
            text = f"<html>Accept for {request.path}</html>" if kind == "portal" else ""
            return web.Response(text=text, content_type="text/html")
        if kind in ("portal", "empty", "refused"):
            return web.Response(body=self._picture + request.path.encode(), content_type="image/jpeg")
        if kind == "page":
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        return web.Response(status={"gone": 410, "none": 404}.get(kind, 500))


@contextmanager
def serving(flickr: Flickr) -> Iterator[Flickr]:
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_get("/{kind}/{name:.*}", flickr.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def up() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        flickr.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(up(), loop).result(10)
    try:
        yield flickr
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def flickr(tmp_path: Path) -> Iterator[Flickr]:
    with serving(Flickr(write_still(tmp_path / "picture.jpg").read_bytes())) as running:
        yield running


def get(folder: Path, flickr: Flickr, *kinds: str, policy: DownloadPolicy = QUICK) -> DownloadResult:
    """Downloads `KIND/NUMBER` as `KIND_NUMBER.jpg`; of several with commas, the first that can be had."""
    photos = []
    for number, kind in enumerate(kinds):
        urls = tuple(f"{flickr.url}/{each}/{number}.jpg" for each in kind.split(","))
        photos.append((folder / f"{kind}_{number}.jpg", urls))
    return download(photos, folder, policy, lambda *_: None)


def reasons(folder: Path, flickr: Flickr, *names: str) -> dict[str, str]:
    """The reasons of photos that `get` has asked for, by their names."""
    log = DownloadLog(folder)
    found = {}
    for name in names:
        kind, number = name.rsplit("_", 1)
        found[name] = log.reason([f"{flickr.url}/{each}/{number}" for each in kind.split(",")])
    log.close()
    return found


def test_what_is_there_is_got_once_and_what_is_not_has_a_reason(tmp_path: Path, flickr: Flickr) -> None:
    folder = tmp_path / "photos"
    kinds = ("good", "busy", "broken", "cut", "none,good", "gone", "unavailable", "circle", "elsewhere", "page", "dead")
    assert get(folder, flickr, *kinds) == DownloadResult(new=5, present=0, gone=2, failed=4)
    assert sorted(path.name for path in folder.glob("*.jpg")) == [
        *("broken_2.jpg", "busy_1.jpg", "cut_3.jpg", "good_0.jpg", "none,good_4.jpg"),
    ]
    names = (
        "gone_5.jpg",
        "unavailable_6.jpg",
        "circle_7.jpg",
        "elsewhere_8.jpg",
        "page_9.jpg",
        "dead_10.jpg",
        "x_1.jpg",
    )
    assert reasons(folder, flickr, *names) == {
        "gone_5.jpg": "expired: status 410",
        "unavailable_6.jpg": "expired: Flickr's picture for photos that are not available",
        "circle_7.jpg": "could not be downloaded: redirects in a circle",
        "elsewhere_8.jpg": "could not be downloaded: redirects to something that is not a web page",
        "page_9.jpg": "could not be downloaded: not an image but text/html",
        "dead_10.jpg": "could not be downloaded: status 500",
        "x_1.jpg": "",
    }
    before = flickr.asked.copy()
    assert get(folder, flickr, *kinds) == DownloadResult(new=0, present=5, gone=2, failed=4)
    again = {"/dead/10.jpg", "/circle/7.jpg", "/elsewhere/8.jpg", "/page/9.jpg"}  # nothing was said about these
    assert set((flickr.asked - before).keys()) == again
    assert flickr.asked["/dead/10.jpg"] == 2 * QUICK.attempts


@pytest.mark.parametrize("redirected", [False, True])
def test_what_is_no_address_is_the_entry_of_that_photo(tmp_path: Path, flickr: Flickr, redirected: bool) -> None:
    folder = tmp_path / "photos"
    wrong: tuple[str, ...] = (
        *NOWHERE,
        "",
        "www.example.org/a.jpg",
        "ftp://example.org/a.jpg",
        "n/a",
        "file:///etc/passwd",
    )
    if redirected:
        wrong = tuple(f"{flickr.url}/nowhere/{number}.jpg" for number in range(len(NOWHERE)))
    photos: list[Photo] = [(folder / f"{number}.jpg", (url,)) for number, url in enumerate(wrong)]
    photos = [*photos, (folder / "good.jpg", ("http://[", f"{flickr.url}/good/1.jpg"))]
    done = download(photos, folder, QUICK, lambda *_: None)
    assert (done.new, done.gone + done.failed) == (1, len(wrong))
    log = DownloadLog(folder)
    found = [log.reason([url]) for url in wrong]
    log.close()
    assert all("address" in reason or "web page" in reason for reason in found), found
    assert max(flickr.asked.values()) == 1


def test_many_that_are_no_addresses_do_not_stop_the_others(tmp_path: Path, flickr: Flickr) -> None:
    folder = tmp_path / "photos"
    photos: list[Photo] = [(folder / f"{number}.jpg", ("http://[",)) for number in range(50)]
    photos.append((folder / "good.jpg", (f"{flickr.url}/good/1.jpg",)))
    photos.append((folder / f"{'n' * 300}.jpg", (f"{flickr.url}/good/2.jpg",)))
    assert download(photos, folder, QUICK, lambda *_: None) == DownloadResult(new=1, present=0, gone=0, failed=51)


def test_a_placeholder_is_known_by_being_the_same_file_again(tmp_path: Path, flickr: Flickr) -> None:
    folder = tmp_path / "photos"
    done = get(
        folder, flickr, "same", "good", "same", "same", "same", policy=DownloadPolicy(per_second=500, concurrency=1)
    )
    assert done.gone == 2
    assert [path.name for path in folder.glob("*.jpg")] == ["good_1.jpg"]
    assert (
        reasons(folder, flickr, "same_0.jpg")["same_0.jpg"]
        == "expired: the same picture as other photos: a placeholder"
    )


def test_requests_keep_to_the_rate(tmp_path: Path, flickr: Flickr) -> None:
    folder = tmp_path / "photos"
    started: list[float] = []

    def photos() -> Iterator[Photo]:
        for number in range(12):
            started.append(time.monotonic())
            yield folder / f"{number}.jpg", (f"{flickr.url}/good/{number}.jpg",)

    download(photos(), folder, DownloadPolicy(per_second=40), lambda *_: None)
    # A slow machine only makes this longer: no request leaves before its photo is asked for, or arrives before it left.
    assert max(flickr.times) - started[0] >= 11 / 40


def test_all_requests_wait_when_the_server_asks_for_a_pause(tmp_path: Path, flickr: Flickr) -> None:
    policy = DownloadPolicy(per_second=500, concurrency=1, first_wait=60)
    assert get(tmp_path / "photos", flickr, "busy", "good", policy=policy).new == 2
    # A slow machine only makes this longer: the pause begins after the first request has arrived.
    assert flickr.times[1] - flickr.times[0] >= PAUSE


def test_where_nothing_can_be_got_at_all_it_stops(tmp_path: Path, flickr: Flickr) -> None:
    with pytest.raises(ProviderError, match=r"No photo can be downloaded \(127\.0\.0\.1:\d+: status 500\)"):
        get(tmp_path / "photos", flickr, *["dead"] * 60)
    assert len(flickr.asked) < 60


@pytest.mark.parametrize("kind", ["portal", "empty", "refused"])
@pytest.mark.parametrize("had", [0, 15])
def test_the_same_answer_to_many_photos_is_an_outage_and_no_photo_is_gone(
    tmp_path: Path, flickr: Flickr, kind: str, had: int
) -> None:
    folder, kinds = tmp_path / "photos", ["good"] * had + [kind] * 30
    with pytest.raises(ProviderError, match=r"No photo can be downloaded .* will be requested again"):
        get(folder, flickr, *kinds, policy=DownloadPolicy(per_second=500, concurrency=1, first_wait=0.01))
    assert len([path for path in flickr.asked if kind in path]) == 10  # and not thirty
    flickr.is_portal = False
    assert get(folder, flickr, *kinds) == DownloadResult(new=30, present=had, gone=0, failed=0)


def test_few_photos_behind_a_page_are_requested_again(tmp_path: Path, flickr: Flickr) -> None:
    folder, kinds = tmp_path / "photos", ["portal", "empty", "refused", "gone"]
    assert get(folder, flickr, *kinds) == DownloadResult(new=0, present=0, gone=1, failed=3)
    flickr.is_portal = False
    assert get(folder, flickr, *kinds) == DownloadResult(new=3, present=0, gone=1, failed=0)


def test_a_host_that_is_down_does_not_hold_back_the_others(tmp_path: Path, flickr: Flickr) -> None:
    folder = tmp_path / "photos"
    other = flickr.url.replace("127.0.0.1", "localhost")  # the same server under another name
    down: list[Photo] = [(folder / f"down{number}.jpg", (f"{other}/page/{number}.jpg",)) for number in range(40)]
    good: list[Photo] = [(folder / f"good{number}.jpg", (f"{flickr.url}/good/{number}.jpg",)) for number in range(40)]
    done = download([*down, *good], folder, QUICK, lambda *_: None)
    assert done == DownloadResult(new=40, present=0, gone=0, failed=40)
    assert sum(count for path, count in flickr.asked.items() if "page" in path) < 20
    flickr.asked.clear()
    more: list[Photo] = [(folder / f"more{number}.jpg", (f"{other}/good/{number}.jpg",)) for number in range(5)]
    # Those that failed before come last, so that what was not tried yet gets its turn even if they fail again.
    assert download([*down[:12], *more], folder, QUICK, lambda *_: None).new == 5


def test_a_refused_photo_is_gone_once_its_host_has_sent_others(tmp_path: Path, flickr: Flickr) -> None:
    folder, kinds = tmp_path / "photos", ["good", "refused", "good", "refused"]
    get(folder, flickr, *kinds)
    before = flickr.asked.copy()
    assert get(folder, flickr, *kinds) == DownloadResult(new=0, present=2, gone=2, failed=0)
    assert flickr.asked == before


def test_a_corrected_address_is_tried_and_a_new_start_tries_all(tmp_path: Path, flickr: Flickr) -> None:
    folder = tmp_path / "photos"
    wrong, right = f"{flickr.url}/gone/1.jpg", f"{flickr.url}/good/1.jpg"
    assert download([(folder / "1.jpg", (wrong,))], folder, QUICK, lambda *_: None).gone == 1
    assert download([(folder / "1.jpg", (right,))], folder, QUICK, lambda *_: None).new == 1
    assert download([(folder / "2.jpg", (wrong,))], folder, QUICK, lambda *_: None).gone == 1
    assert flickr.asked["/gone/1.jpg"] == 1
    assert download([(folder / "2.jpg", (wrong,))], folder, QUICK, lambda *_: None, forget=True).gone == 1
    assert flickr.asked["/gone/1.jpg"] == 2


def test_redirects_are_followed_and_a_slow_photo_is_given_up_once(tmp_path: Path, flickr: Flickr) -> None:
    folder = tmp_path / "photos"
    policy = DownloadPolicy(per_second=500, first_wait=0.01, timeout=0.3)
    assert get(folder, flickr, "chain", "late", policy=policy) == DownloadResult(new=1, present=0, gone=0, failed=1)
    assert flickr.asked["/late/1.jpg"] == 1
    assert reasons(folder, flickr, "late_1.jpg") == {"late_1.jpg": "could not be downloaded: no photo within 0.3 s"}


def test_what_is_no_address_in_an_album_is_listed_as_that(tmp_path: Path, flickr: Flickr) -> None:
    values: list[Any] = [7, ["a", 1], None, {"url": 1}, True, [f"{flickr.url}/good/5.jpg"], "", []]
    photos = [{"id": str(number), "album_id": "7", "url_o": value} for number, value in enumerate(values)]
    sis = write_json(tmp_path / "sis.json", {"images": photos, "albums": [], "annotations": []})
    options = ConvertOptions(
        output=str(tmp_path / "VST.parquet"), name="VisualStoryTelling.video", image_path=str(sis), download=True,
        image_root=(tmp_path / "photos",), num_threads=1, requests_per_second=500,
    )  # fmt: skip
    done = convert(options, lambda _: None, lambda _: None, lambda *_: None)
    assert list(read_image_ids(options.store)) == ["VST_IMG_5"]
    reason = skipped(done.files[1])
    nothing = "missing: the annotations have no address for it"
    assert {reason[f"VST_IMG_{number}"] for number in (2, 6, 7)} == {nothing}
    assert all("is not the address of a web page" in reason[f"VST_IMG_{number}"] for number in (0, 1, 3, 4))


def test_notes_or_a_photo_that_can_not_be_written_are_one_line(tmp_path: Path, flickr: Flickr) -> None:
    folder = tmp_path / "photos"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 100, 1_000, 12_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(StorageError, match=r"can't be written: [^\n]+\.$"):
                get(folder, flickr, "good", "gone")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (folder / DOWNLOADS_FILE).write_text("no database " * 100, "utf-8")
    with pytest.raises(StorageError, match=DOWNLOADS_FILE):
        get(folder, flickr, "good")
    (folder / DOWNLOADS_FILE).unlink()
    assert get(folder, flickr, "good", "gone") == DownloadResult(new=1, present=0, gone=1, failed=0)


def test_a_photo_never_lands_outside_of_its_folder(tmp_path: Path, flickr: Flickr) -> None:
    folder = tmp_path / "photos"
    done = download([(folder / "../b.jpg", (f"{flickr.url}/good/1.jpg",))], folder, QUICK, lambda *_: None)
    assert (done.failed, (tmp_path / "b.jpg").exists()) == (1, False)


def test_an_album_is_downloaded_and_converted_and_goes_on_after_a_stop(tmp_path: Path, flickr: Flickr) -> None:
    """VIST: url_o first, url_m otherwise; what is expired is listed."""
    photos: list[dict[str, Any]] = [
        {"id": "1", "album_id": "7", "url_o": f"{flickr.url}/good/1_o.jpg", "url_m": f"{flickr.url}/good/1_m.jpg"},
        {"id": "2", "album_id": "7", "url_m": f"{flickr.url}/good/2_m.jpg"},
        {"id": "3", "album_id": "7", "url_o": f"{flickr.url}/gone/3_o.jpg", "url_m": f"{flickr.url}/gone/3_m.jpg"},
    ]
    sis = write_json(tmp_path / "sis.json", {"images": photos, "albums": [], "annotations": []})

    def work(**how: Any) -> tuple[list[str], dict[str, str]]:
        options = ConvertOptions(
            output=str(tmp_path / "VST.parquet"),
            name="VisualStoryTelling.video",
            image_path=str(sis),
            image_root=(tmp_path / "photos",),
            num_threads=1,
            requests_per_second=500,
            restart=True,
            **how,
        )
        done = convert(options, lambda _: None, lambda _: None, lambda *_: None)
        return list(read_image_ids(options.store)), skipped(done.files[1])

    (tmp_path / "photos").mkdir()
    write_still(tmp_path / "photos" / "1.jpg")
    told = "missing; --download gets it"
    assert work() == (["VST_IMG_1"], {"VST_IMG_2": told, "VST_IMG_3": told})
    assert work(download=True) == (["VST_IMG_1", "VST_IMG_2"], {"VST_IMG_3": "expired: status 410"})
    assert flickr.asked == {"/good/2_m.jpg": 1, "/gone/3_o.jpg": 1, "/gone/3_m.jpg": 1}
    assert work()[1] == {"VST_IMG_3": "expired: status 410"}
