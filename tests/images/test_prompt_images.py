"""Images in the prompt, from a row to what the server sees: paths, bytes, ids; sizes, keys, and what can be wrong."""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from harness import Ran, server
from image_rows import ask, picture, shown, write_picture, write_store

from syphus.errors import ImageError
from syphus.images.prompt.lookup import ImageLookup
from syphus.ledger.store import FILE
from syphus.runs.reader import read_query
from syphus.simulator import SimulatedServer
from syphus.types import PromptImage, State

JPEG_IN_BASE64 = b"/9j/"  # how every JPEG begins there


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatedServer]:
    with server() as running:
        yield running


@pytest.fixture
def endpoint(shared: SimulatedServer) -> SimulatedServer:
    shared.configure(all=1, sloppiness=0, retry_after=0.02)
    shared.reset()
    return shared


def query(ran: Ran, name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_query(ran.folder, name)
    return found


def test_paths_bytes_and_ids_go_out_and_the_run_keeps_no_image_but_what_was_handed_over(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    path, handed_over, stored = (picture(64, 48, seed) for seed in range(3))
    (tmp_path / "a.jpg").write_bytes(path)
    store = write_store(tmp_path / "store.parquet", {"X_IMG_1": stored, "X_IMG_2": path, "X_IMG_3": path})
    rows: list[dict[str, object]] = [
        {"id": "path", "images": [str(tmp_path / "a.jpg")]},
        {"id": "bytes", "coded": [base64.b64encode(handed_over).decode()]},
        {"id": "id", "images": [{"id": "X_IMG_1"}, {"id": "X_IMG_3"}]},
        {"id": "none"},
    ]
    ran = ask(tmp_path, endpoint, rows, images=store)
    assert ran.states == {State.OK: 4}, ran.lines
    one = ("64x48 JPEG auto",)
    assert sorted(shown(endpoint)) == [(), one, one, one * 2]
    kept = [file for file in (ran.folder / "images").rglob("*") if file.is_file()]
    assert [file.read_bytes() for file in kept] == [handed_over]
    for file in ran.folder.glob("*"):
        assert file.is_dir() or JPEG_IN_BASE64 not in file.read_bytes(), file
        assert file.is_dir() or path[:100] not in file.read_bytes(), file
    (found,) = query(ran, "path")["images"]
    assert len(found.pop("digest")) == 32
    assert found == {"path": str(tmp_path / "a.jpg"), "width": 64, "height": 48, "format": "JPEG"}
    endpoint.reset()
    again = ask(tmp_path, endpoint, rows, images=store)
    assert (again.exit_code, endpoint.stats.requests) == (0, 0)


def test_an_image_goes_out_no_larger_than_the_model_sees_it_and_as_the_user_says(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(picture(3000, 2000, form="PNG"))
    rows = [{"id": "r", "images": [str(large)]}]
    given: list[tuple[dict[str, Any], str]] = [
        ({}, "1152x768 JPEG auto"),
        ({"image_detail": "low"}, "512x341 JPEG low"),
        ({"image_size": 100}, "100x67 JPEG auto"),
        ({"image_size": 0, "image_detail": "high"}, "3000x2000 PNG high"),
        ({"model": "gpt-4.1-mini"}, "1536x1024 JPEG auto"),
    ]
    for number, (options, _) in enumerate(given):
        assert ask(tmp_path, endpoint, rows, dataset_version=f"v{number}", **options).states == {State.OK: 1}
    assert shown(endpoint) == [(seen,) for _, seen in given]


@pytest.mark.parametrize(
    ("form", "mode", "goes_out"),
    [
        ("PNG", "RGB", "PNG"),
        ("WEBP", "RGB", "WEBP"),
        ("BMP", "RGB", "JPEG"),
        ("PNG", "RGBA", "JPEG"),
        ("JPEG", "L", "JPEG"),
    ],
)
def test_what_every_provider_takes_goes_out_as_it_is(
    tmp_path: Path, endpoint: SimulatedServer, form: str, mode: str, goes_out: str
) -> None:
    (tmp_path / "image").write_bytes(picture(40, 30, form=form, mode=mode))
    ask(tmp_path, endpoint, [{"id": "r", "images": [str(tmp_path / "image")]}])
    assert shown(endpoint) == [(f"40x30 {goes_out} auto",)]


def test_a_row_whose_image_can_not_be_read_fails_with_the_reason_and_is_never_asked_without(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    good, bad = write_picture(tmp_path / "good.jpg"), tmp_path / "bad"
    bad.mkdir()
    (bad / "empty.jpg").write_bytes(b"")
    (bad / "page.jpg").write_bytes(b"<html>photo unavailable</html>")
    (bad / "cut.jpg").write_bytes(picture(600, 400, coarse=1)[:20_000])
    names = ("missing.jpg", "empty.jpg", "page.jpg", "cut.jpg")
    rows = [{"id": name, "images": [str(good), str(bad / name)]} for name in names]
    ran = ask(tmp_path, endpoint, [{"id": "good", "images": [str(good)]}, *rows])
    assert ran.states == {State.OK: 1, State.FAILED: 4}
    assert sorted(ran.reasons) == ["image: 0 bytes", "image: missing", "image: not an image", "image: truncated"]
    assert query(ran, "missing.jpg")["detail"] == f"{bad / 'missing.jpg'}: missing"
    assert endpoint.stats.requests == ran.report.spending.requests == 1
    for name in names:
        write_picture(bad / name)
    mended = ask(tmp_path, endpoint, [{"id": "good", "images": [str(good)]}, *rows], retry=(State.FAILED,))
    # what was there, and broken, is another image now; what was missing has come
    assert sorted(mended.reasons) == ["image: changed since the input was read"]
    accepted = ask(
        tmp_path, endpoint, [{"id": "good", "images": [str(good)]}, *rows], check_input=True, accept_changes=True
    )
    assert accepted.states == {State.OK: 5}


def test_where_no_image_at_all_can_be_read_nothing_is_sent_and_nothing_left_behind(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    ran = ask(tmp_path, endpoint, [{"id": str(n), "images": [f"gone/{n}.jpg"]} for n in range(3)])
    assert ran.exit_code == 2
    assert str(ran.error).startswith("No image can be read, the first is gone/0.jpg: missing.")
    assert not ran.folder.exists()
    assert endpoint.stats.requests == 0


def test_an_image_that_changes_while_the_run_waits_is_not_sent(tmp_path: Path, endpoint: SimulatedServer) -> None:
    paths = [write_picture(tmp_path / f"{n}.jpg", seed=n) for n in range(2)]
    rows = [{"id": path.name, "images": [str(path)]} for path in paths]
    assert ask(tmp_path, endpoint, rows, max_requests=1).states == {State.OK: 1, State.PENDING: 1}
    write_picture(paths[1], seed=7)
    ran = ask(tmp_path, endpoint, rows)
    assert ran.reasons == ["image: changed since the input was read"]
    assert endpoint.stats.requests == 1


def test_a_changed_image_is_a_changed_row_and_the_same_image_elsewhere_is_not(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    for name in ("a.jpg", "b.jpg"):
        write_picture(tmp_path / "here" / name, seed=ord(name[0]))
    rows = [{"id": name, "images": [name]} for name in ("a.jpg", "b.jpg")]
    assert ask(tmp_path, endpoint, rows, images=tmp_path / "here").states == {State.OK: 2}
    (tmp_path / "here").rename(tmp_path / "there")
    assert ask(tmp_path, endpoint, rows, images=tmp_path / "there").exit_code == 0
    write_picture(tmp_path / "there" / "b.jpg", seed=9)
    changed = ask(tmp_path, endpoint, rows, images=tmp_path / "there", check_input=True)
    assert "1 changed (b.jpg)" in str(changed.error)
    assert endpoint.stats.requests == 2
    ask(tmp_path, endpoint, rows, images=tmp_path / "there", check_input=True, accept_changes=True)
    assert endpoint.stats.requests == 3


def test_a_row_that_waits_finds_its_image_where_the_plugin_says_that_it_is_now(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    first, second = (write_picture(tmp_path / "here" / f"{n}.jpg", seed=n) for n in range(2))
    rows = [{"id": "1", "images": [str(first)]}, {"id": "2", "images": [str(second)]}]
    assert ask(tmp_path, endpoint, rows, max_requests=1).states == {State.OK: 1, State.PENDING: 1}
    (tmp_path / "here").rename(tmp_path / "there")
    moved = [{"id": row["id"], "images": [str(row["images"][0]).replace("here", "there")]} for row in rows]
    assert ask(tmp_path, endpoint, moved).states == {State.OK: 2}
    assert endpoint.stats.requests == 2


def test_a_run_that_is_refused_keeps_nothing_that_was_handed_over(tmp_path: Path, endpoint: SimulatedServer) -> None:
    coded = base64.b64encode(picture(64, 48)).decode()
    ran = ask(tmp_path, endpoint, [{"id": str(n), "coded": [coded]} for n in range(1000)] + [{"id": "0"}])
    assert "same id '0'" in str(ran.error)
    assert not ran.folder.exists()


def test_the_same_question_about_the_same_content_is_asked_once_whatever_the_image_is_called(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    one, two, other = (write_picture(tmp_path / f"{n}.jpg", seed=n == 2) for n in range(3))
    coded = base64.b64encode(one.read_bytes()).decode()
    rows = [{"id": "1", "images": [str(one)]}, {"id": "2", "images": [str(two)]}, {"id": "3", "images": [str(other)]}]
    rows.append({"id": "4", "coded": [coded]})
    ran = ask(tmp_path, endpoint, [{**row, "text": "what is there"} for row in rows])
    assert ran.states == {State.OK: 4}
    assert (endpoint.stats.requests, ran.report.counts.shared) == (2, 2)


def test_a_row_that_is_there_twice_with_its_images_becomes_two(tmp_path: Path, endpoint: SimulatedServer) -> None:
    path = write_picture(tmp_path / "a.jpg")
    filler = [{"id": f"f{n}"} for n in range(1000)]  # so that the second comes in another batch
    row = {"id": "x", "images": [str(path)]}
    ran = ask(tmp_path, endpoint, [row, *filler, row], max_requests=0)
    assert (ran.report.counts.total, query(ran, "x_2")["images"]) == (1002, query(ran, "x")["images"])


def test_an_image_of_more_than_a_megabyte_goes_out_whole(tmp_path: Path, endpoint: SimulatedServer) -> None:
    (tmp_path / "noise.png").write_bytes(picture(760, 760, form="PNG", coarse=1))
    ran = ask(tmp_path, endpoint, [{"id": "r", "images": [str(tmp_path / "noise.png")] * 2}])
    assert ran.states == {State.OK: 1}
    assert shown(endpoint) == [("760x760 PNG auto",) * 2]


def test_of_many_images_evenly_spaced_ones_go_out_where_the_user_says_so(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    for n in range(10):
        write_picture(tmp_path / f"{n}.jpg", width=20 + n)
    images = [str(tmp_path / f"{n}.jpg") for n in range(10)]
    ask(tmp_path, endpoint, [{"id": "r", "images": images}], max_images=3)
    assert shown(endpoint) == [("20x48 JPEG auto", "23x48 JPEG auto", "26x48 JPEG auto")]


def test_images_alone_are_enough_of_a_question(tmp_path: Path, endpoint: SimulatedServer) -> None:
    path = write_picture(tmp_path / "a.jpg")
    ask(tmp_path, endpoint, [{"id": "r", "text": "", "images": [str(path)]}, {"id": "s", "text": ""}])
    assert shown(endpoint) == [("64x48 JPEG auto",)] * len(endpoint.requests)


# What the endpoint says


def test_a_model_that_takes_no_images_stops_the_run_in_one_line(tmp_path: Path, endpoint: SimulatedServer) -> None:
    endpoint.configure(vision=False)
    paths = [write_picture(tmp_path / f"{n}.jpg", seed=n) for n in range(8)]
    ran = ask(tmp_path, endpoint, [{"id": path.name, "images": [str(path)]} for path in paths])
    assert (ran.exit_code, ran.states, endpoint.stats.requests) == (3, {State.PENDING: 8}, 3)
    assert re.match(r"127\.0\.0\.1:\d+ \(.*\) says that the model takes no images: ", str(ran.error))
    assert "\n" not in str(ran.error)


def test_a_server_that_writes_the_request_into_its_error_brings_no_image_into_the_run(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    endpoint.configure(poison={"car bad": "request_echo"})
    path = write_picture(tmp_path / "a.jpg", 600, 400)
    rows = [{"id": name, "images": [str(path)]} for name in ("good", "bad")]
    ran = ask(tmp_path, endpoint, rows)
    assert ran.states == {State.OK: 1, State.FAILED: 1}
    found = query(ran, "bad")
    assert '[{"input":[{"image_url":{"url":"<image>"' in found["detail"]
    for file in (ran.folder / FILE, ran.folder / "report.json"):
        assert JPEG_IN_BASE64 not in file.read_bytes()


def test_the_tokens_of_images_are_estimated_and_held_in_the_budget(tmp_path: Path, endpoint: SimulatedServer) -> None:
    paths = [write_picture(tmp_path / f"{n}.png", 700, 700, seed=n) for n in range(4)]
    rows = [{"id": path.name, "images": [str(path)]} for path in paths]
    prices = {"prices": {"chat": {"input": 1000.0, "output": 0.0}}}
    ran = ask(tmp_path, endpoint, rows, config={**prices, "max_tokens": 100}, max_cost=2.0, num_threads=1)
    (told,) = [line for line in ran.lines if line.startswith("about")]
    assert told.startswith("about 3.6k tokens in")  # 4 x (765 and the rest of the request), 3% of it twice
    assert ran.states == {State.OK: 2, State.PENDING: 2}  # a third would pass 2 dollars
    (spent,) = {record.prompt_tokens for record in endpoint.requests}
    assert spent == pytest.approx(3300 / 4, rel=0.1)


def test_an_image_that_turns_out_to_be_broken_costs_nothing_of_the_budget(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    broken, good = tmp_path / "cut.jpg", write_picture(tmp_path / "good.jpg")
    broken.write_bytes(picture(600, 400, coarse=1)[:20_000])
    rows = [{"id": str(n), "images": [str(broken)]} for n in range(5)] + [{"id": "good", "images": [str(good)]}]
    ran = ask(tmp_path, endpoint, rows, max_requests=1, num_threads=1)
    assert ran.states == {State.OK: 1, State.FAILED: 5}


# A ledger of before


def test_a_run_from_before_there_were_images_goes_on_and_can_be_looked_at(
    tmp_path: Path, endpoint: SimulatedServer
) -> None:
    rows = [{"id": "a"}, {"id": "b"}]
    ran = ask(tmp_path, endpoint, rows, max_requests=1)
    with sqlite3.connect(ran.folder / FILE) as db:
        db.execute("DROP TABLE picture")
    db.close()
    assert "images" not in query(ran, "a")
    assert ask(tmp_path, endpoint, rows).states == {State.OK: 2}


def test_more_images_than_a_request_can_hold_are_not_sent(tmp_path: Path, endpoint: SimulatedServer) -> None:
    paths = [tmp_path / f"{n}.jpg" for n in range(3)]
    for n, path in enumerate(paths):
        path.write_bytes(picture(64, 48, seed=n) + bytes(17_000_000))  # which a decoder does not look at
    good = write_picture(tmp_path / "good.jpg")
    ran = ask(tmp_path, endpoint, [{"id": "1", "images": [str(good)]}, {"id": "3", "images": [str(p) for p in paths]}])
    assert ran.states == {State.OK: 1, State.FAILED: 1}
    assert query(ran, "3")["detail"] == "3 images: larger than 50 MB together: a request of 68 MB"


def test_an_id_that_is_too_long_for_a_file_name_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="missing in"):
        ImageLookup(tmp_path, None).read(PromptImage(id="猫" * 100))


def test_a_data_uri_is_an_image_and_an_address_is_named_as_one(tmp_path: Path, endpoint: SimulatedServer) -> None:
    coded = base64.b64encode(picture(64, 48, 1)).decode()
    uris = [
        f"data:image/jpeg;base64,{coded}", f"DATA:image/jpeg;charset=utf-8; base64 ,{coded[:80]}\n{coded[80:]}",
        f"data:;base64,{quote(coded)}", f"data:image/jpeg,{quote(picture(64, 48, 1))}",
    ]  # fmt: skip
    wrong = ["data:image/png;base64,*", "http://a.example/b.jpg", "s3://bucket/a.jpg", f"https://a.example/{'n' * 300}"]
    rows: list[dict[str, object]] = [
        {"id": str(number), "text": f"a cat, {number}", "images": [path]} for number, path in enumerate([*uris, *wrong])
    ]
    ran = ask(tmp_path, endpoint, rows)
    assert ran.states == {State.OK: 4, State.FAILED: 4}, ran.lines
    details = [str(query(ran, str(number))["detail"]) for number in range(4, 8)]
    assert details[0].endswith("a data URI that can't be decoded")
    assert all("an address (" in detail and "download it" in detail for detail in details[1:]), details
    assert all(len(detail) < 330 for detail in details)
