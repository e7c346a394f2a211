"""Reviewing in a real browser, with the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import browsing
from harness import run_rows, server
from viewing import TOKEN, Viewing, viewing

from syphus.ledger.reviews import NewDecision, ReviewLog

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as opened:
        yield opened


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Viewing]:
    """A run of 16 rows, of which some answers are rejected."""
    texts = {f"row{n:03d}": f"a kettle stands on table {n}." for n in range(16)}
    with server(poison={"table 1": "leak_phrase"}) as running:
        ran = run_rows(tmp_path, running.url, texts, num_threads=8)
    with viewing(ran.folder, cache=tmp_path / "cache") as running_viewer:
        yield running_viewer


@pytest.fixture
def page(browser: Browser, seen: Viewing) -> Iterator[Page]:
    """The page of a reviewer called Ann."""
    opened = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce").new_page()
    opened.goto(f"http://127.0.0.1:{seen.port}/?token={TOKEN}")
    opened.locator("main h1").wait_for()
    opened.keyboard.type("gr")
    opened.locator("input[name=name]").focus()
    opened.keyboard.type("Ann")
    opened.keyboard.press("Enter")
    opened.locator(".review").wait_for()
    yield opened
    opened.context.close()


def saved(seen: Viewing, page: Page, count: int) -> list[NewDecision]:
    """The decisions in the file, once there are so many."""
    log = ReviewLog(seen.viewer.runs.all()[0].folder)
    for _ in range(200):
        if log.refresh() >= count:
            break
        page.wait_for_timeout(25)
    return [each.of for each in log.all_decisions()]


def shown(page: Page) -> str:
    return page.locator(".review .about code").first.inner_text()


def press(page: Page, *keys: str) -> None:
    """Press keys, and wait for the next pair."""
    before = shown(page)
    for key in keys:
        page.keyboard.press(key)
    for _ in range(200):
        if page.locator(".review").count() == 0 or shown(page) != before:
            return
        page.wait_for_timeout(10)
    raise AssertionError(f"{before} is still there")


def test_everything_is_done_with_the_keyboard(seen: Viewing, page: Page) -> None:
    ids = [shown(page)]
    press(page, "a")
    ids.append(shown(page))
    press(page, "r", "2")
    ids.append(shown(page))
    press(page, "r", "Enter")
    ids.append(shown(page))
    page.keyboard.press("e")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("What is this?")
    press(page, "ControlOrMeta+Enter")
    page.keyboard.press("c")
    page.keyboard.type("Is it? a")
    page.keyboard.press("ControlOrMeta+Enter")
    page.locator(".review-actions").wait_for()
    found = saved(seen, page, 5)
    assert [(each.verdict.value, each.reason) for each in found] == [
        *(("accept", ""), ("reject", "wrong"), ("reject", ""), ("edit", ""), ("comment", "")),
    ]
    assert [each.pair for each in found[:4]] == ids
    assert (found[3].instruction, found[4].comment) == ("What is this?", "Is it? a")
    assert {each.reviewer for each in found} == {"Ann"}
    assert all(each.draw.endswith("accepted") for each in found[:4])
    press(page, "u")
    assert shown(page) == ids[3]
    assert saved(seen, page, 6)[5].undoes == found[3].id
    press(page, "k")
    assert shown(page) == ids[2]
    assert "you: rejected" in page.locator(".review-card").inner_text()


def test_decisions_wait_for_a_viewer_that_is_gone(seen: Viewing, page: Page) -> None:
    page.route("**/reviews", lambda route: route.abort())
    press(page, "a")
    press(page, "a")
    page.get_by_text("2 decisions not saved yet").wait_for()
    assert saved(seen, page, 0) == []
    page.unroute("**/reviews")
    page.reload()  # they are kept in the browser
    page.locator(".review").wait_for()
    found = saved(seen, page, 2)
    assert len(found) == len({each.pair for each in found}) == 2
    press(page, "a")
    assert len({each.pair for each in saved(seen, page, 3)}) == 3


def test_what_others_say_is_hidden_until_one_has_decided(seen: Viewing, page: Page) -> None:
    pair = seen.api("review/queue?reviewer=bob&limit=1")["pairs"][0]
    body = {key: pair[key] for key in ("n", "text_hash")} | {"pair": pair["id"], "reviewer": "Bob", "verdict": "reject"}
    name = "00000000-0000-4000-8000-000000000001"
    assert seen.post(f"/api/runs/{seen.key}/reviews", {**body, "id": name}).status == 200
    page.reload()
    page.locator(".review").wait_for()
    assert shown(page) == pair["id"]
    assert page.get_by_text("Bob").count() == 0
    press(page, "a")
    saved(seen, page, 2)
    press(page, "k")
    page.get_by_text("rejects it").wait_for()
    page.keyboard.type("gp")
    page.locator(".pair-grid").wait_for()
    page.get_by_role("button", name="disputed").click()
    page.locator(".pair-tile").nth(0).get_by_text("disputed").wait_for()
    assert page.locator(".pair-tile").count() == 1
    page.locator(".pair-tile a").click()
    page.locator(".pair-one").get_by_text("rejects it").wait_for()


def test_rejected_answers_are_judged_and_the_rule_is_worth_something(seen: Viewing, page: Page) -> None:
    rule = seen.api("review/queue?reviewer=Ann")["rules"][0]
    page.keyboard.type("gw")
    page.get_by_role("link", name=rule["name"]).first.click()
    page.get_by_text("A rule rejected this answer").wait_for()
    press(page, "r", "5")
    saved(seen, page, 1)
    page.keyboard.type("gw")
    page.get_by_role("img", name="100%, 95% interval").first.wait_for()
