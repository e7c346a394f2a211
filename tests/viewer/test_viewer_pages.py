"""The viewer's pages in a real browser, on real runs with pictures and hostile texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import PALE_TEXTS, browsing, shown
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from harness import run_rows, server
from image_rows import ask, write_picture
from viewing import TOKEN, Viewing, viewing

import syphus
from syphus.formats.html_page import tag, write_document
from syphus.formats.page_fonts import rare_letters

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

STATIC = Path(syphus.__file__).parent / "viewer" / "static"
HOSTILE = "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script> \u202e&amp;"
SIZES = ((360, 740), (1024, 768), (1920, 1080))
PLACES = {  #: of the pages of a run, by module
    "overview": "",
    "queries": "/queries",
    "pairs": "/pairs",
    "review": "/review",
    "worth": "/worth",
    "cold_start": "/cold-start",
    "translation": "/translation",
    "statistics": "/statistics",
    "control": "/control",
}
THERE = [name for name in PLACES if (STATIC / "pages" / f"{name}.js").exists()]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewing]:
    """A run with a picture for each row, hostile texts, rows in several states, and translations into Arabic."""
    folder = tmp_path_factory.mktemp("pages")
    rows: list[dict[str, Any]] = []
    for number in range(8):
        write_picture(folder / "images" / f"p{number}.jpg", 320, 240, seed=number)
        text = f"a red kettle stands on table {number}" if number else f"a kettle {HOSTILE} stands on a table"
        rows.append({"id": f"r{number}{'<b>' * (number == 1)}", "images": [f"p{number}.jpg"], "text": text})
    with server(poison={"table 2": "refusal", "table 3": "truncated", "table 4": "leak_phrase"}) as running:
        ran = ask(folder, running, rows, images=folder / "images")
    syphus.translate(ran.folder, languages="ar", offline=True, quiet=True)
    with viewing(ran.folder, cache=folder / "cache") as running_viewer:
        yield running_viewer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as opened:
        yield opened


@contextmanager
def watched(browser: Browser, seen: Viewing) -> Iterator[BrowserContext]:
    """A browser that has opened the printed address; whatever it asks for and complains of must be fine."""
    opened = browser.new_context(viewport={"width": 1024, "height": 768}, reduced_motion="reduce")
    wrong: list[str] = []
    base = seen.address.partition("/?")[0]
    opened.on(
        "request", lambda request: wrong.append(request.url) if not request.url.startswith((base, "data:")) else None
    )
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("weberror", lambda error: wrong.append(str(error.error)))
    opened.on("dialog", lambda dialog: wrong.append(dialog.message))
    opened.request.get(f"{base}/?token={TOKEN}")
    yield opened
    opened.close()
    assert wrong == []


@pytest.fixture
def context(browser: Browser, seen: Viewing) -> Iterator[BrowserContext]:
    with watched(browser, seen) as opened:
        yield opened


@pytest.fixture(scope="module")
def visitor(browser: Browser, seen: Viewing) -> Iterator[Page]:
    """A page that is taken from one place to the next."""
    with watched(browser, seen) as opened:
        yield opened.new_page()


def go(page: Page, seen: Viewing, place: str) -> Page:
    page.goto(f"{seen.address.partition('/?')[0]}/runs/{seen.key}{place}")
    page.locator("main h1").wait_for()
    return page


def at(context: BrowserContext, seen: Viewing, place: str) -> Page:
    return go(context.new_page(), seen, place)


def numbered(seen: Viewing, name: str) -> int:
    (n,) = [row["n"] for row in seen.api("queries")["rows"] if row["id"].startswith(name)]
    return int(n)


def check_looks(page: Page) -> None:
    """The page fits, and can be read, at every size and in both themes; its parts are known to screen readers."""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], (page.url, width)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(PALE_TEXTS) == [], (page.url, scheme)
    assert page.locator("h1").count() == 1
    for role in ("banner", "navigation", "main"):
        assert page.get_by_role(role).first.is_visible(), (page.url, role)
    unnamed = "all => all.filter(each => !(each.labels && each.labels.length) && !each.getAttribute('aria-label'))"
    assert page.locator("input, select, textarea").evaluate_all(f"{unnamed}.map(each => each.outerHTML)") == []
    assert page.locator("button").evaluate_all("all => all.filter(e => !e.innerText && !e.ariaLabel).length") == 0


@pytest.mark.parametrize("name", THERE)
def test_a_page_fits_reads_well_and_asks_only_the_viewer(visitor: Page, seen: Viewing, name: str) -> None:
    check_looks(go(visitor, seen, PLACES[name]))


def test_a_query_shows_its_picture_answers_and_messages_and_hostile_texts_stay_texts(
    context: BrowserContext, seen: Viewing
) -> None:
    page = at(context, seen, f"/queries/{numbered(seen, 'r0')}")
    assert page.locator("main img").first.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    page.locator("#messages summary").click()
    assert page.locator("#messages article").count() >= 2
    assert HOSTILE.split()[0] in page.inner_text("main")
    assert page.locator("main script, main img[src=x], main b > script").count() == 0
    assert "hacked" not in page.title()
    right = page.locator(".translations [lang=ar] p.prose, .translations p.prose[lang=ar]").first
    assert right.evaluate("each => getComputedStyle(each).unicodeBidi") == "plaintext"
    check_looks(page)


def test_why_an_answer_fell_is_marked_in_its_text(context: BrowserContext, seen: Viewing) -> None:
    page = at(context, seen, f"/queries/{numbered(seen, 'r4')}")
    assert page.locator(".notice").first.inner_text()
    assert page.locator("article mark").count() >= 1


def test_the_keyboard_reaches_everything_and_the_focus_is_seen(context: BrowserContext, seen: Viewing) -> None:
    page = at(context, seen, "")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) != "none", page.evaluate("document.activeElement.outerHTML")
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.locator(".line").first.wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator(".line").nth(1)
    assert "current" in (second.get_attribute("class") or "")
    name = second.locator("a").inner_text()
    page.keyboard.press("Enter")
    page.locator("h1", has_text=name).wait_for()
    page.keyboard.press("j")
    page.locator("h1", has_text="r2").wait_for()
    page.keyboard.press("Escape")
    page.locator(".line.current").wait_for()
    assert page.locator(".line.current a").inner_text() == "r2"


def test_filters_are_in_the_address(context: BrowserContext, seen: Viewing) -> None:
    from playwright.sync_api import expect

    page = at(context, seen, "/queries")
    page.locator(".line").first.wait_for()
    page.get_by_role("button", name=re.compile("refused")).click()
    page.wait_for_url("**/queries?state=refused")
    expect(page.locator(".line")).to_have_count(1)
    page.reload()
    page.locator(".line").first.wait_for()
    assert page.locator(".line").count() == 1
    page.get_by_role("searchbox").fill("no such words")
    page.locator(".empty").wait_for()
    assert "text=no+such+words" in page.url
    assert page.evaluate("document.activeElement.type") == "search"  # what is typed goes on there
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.locator(".line")).to_have_count(8)


def test_the_numbers_follow_a_run_without_a_reload(browser: Browser, tmp_path: Path) -> None:
    with server() as running:
        ran = run_rows(tmp_path, running.url, 6, max_requests=2)
        with viewing(ran.folder, cache=tmp_path / "cache") as other:
            opened = browser.new_page()
            opened.goto(other.address)
            opened.locator(".legend").wait_for()
            assert "pending\n4" in opened.inner_text(".legend")
            opened.locator(".legend a").first.focus()
            run_rows(tmp_path, running.url, 6)
            opened.locator(".legend li", has_text="pending").filter(has_text="0").wait_for(timeout=5000)
            assert opened.evaluate("document.activeElement.closest('.legend') !== null")  # the focus stays
            opened.close()


def test_no_script_parses_html() -> None:
    """Texts become text nodes; see dom.js. Nothing is loaded from elsewhere."""
    sinks = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc\s*="
    )
    scripts = sorted(STATIC.rglob("*.js"))
    assert [str(path) for path in scripts if sinks.search(path.read_text("utf-8"))] == []
    texts = {path: path.read_text("utf-8") for path in STATIC.rglob("*") if path.suffix in {".js", ".css", ".html"}}
    assert [str(path) for path, text in texts.items() if re.search(r"https?://(?!www\.w3\.org/)", text)] == []


def test_a_page_is_written_as_one_file_that_needs_no_script(browser: Browser, seen: Viewing, tmp_path: Path) -> None:
    folder = seen.viewer.runs.all()[0].folder
    file = tmp_path / "page.html"
    written = syphus.view(folder, write=file, page=f"queries/{numbered(seen, 'r0')}")
    assert written is not None
    assert (written.pictures, written.left_out) == (1, 0)
    with shown(file, browser, script=False) as page:
        assert HOSTILE.split()[0] in page.inner_text("main")
        assert page.locator("main script, img[src=x]").count() == 0
        assert page.locator("img[src^='data:image/jpeg']").count() == 1


def test_a_written_page_carries_the_letters_that_its_readers_may_lack(browser: Browser, tmp_path: Path) -> None:
    text = "\u732b\u5728\u7a97\u53f0\u4e0a"
    font = write_font(tmp_path / "fonts" / "Han-Regular.ttf", f"{text}\u72d7")
    file = tmp_path / "page.html"
    embedded = write_document(file, "Cats", [tag("p", {"lang": "zh"}, text, " and a cat")], fonts=[font.parent])
    assert embedded.missing == ""
    assert "U+732B" in embedded.css
    assert "U+72D7" not in embedded.css  # a dog is on no page
    assert len(embedded.css) < 4000
    with shown(file, browser, script=False) as page:
        asked = page.context.new_cdp_session(page)
        asked.send("DOM.enable")
        asked.send("CSS.enable")
        root = asked.send("DOM.getDocument")["root"]["nodeId"]
        node = asked.send("DOM.querySelector", {"nodeId": root, "selector": "p[lang=zh]"})["nodeId"]
        fonts = asked.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
        assert {(each["isCustomFont"], each["glyphCount"]) for each in fonts} == {(True, 5), (False, 10)}


def test_letters_that_no_font_has_are_named(tmp_path: Path) -> None:
    unwritten = "\U00016a40"  # a letter of Mro, which hardly any font has
    embedded = write_document(tmp_path / "page.html", "Letters", [unwritten])
    if embedded.css == "":
        assert embedded.missing == unwritten
        assert f"such as {unwritten}" in (tmp_path / "page.html").read_text("utf-8")
    assert rare_letters("caf\u00e9 \u0416 \u201c\u2192") == ""


def write_font(path: Path, letters: str) -> Path:
    """A font in which each letter is a box."""
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", *(f"letter{number}" for number in range(len(letters)))]
    pen = TTGlyphPen(None)
    for place, draw in (((0, 0), pen.moveTo), ((0, 700), pen.lineTo), ((700, 700), pen.lineTo), ((700, 0), pen.lineTo)):
        draw(place)
    pen.closePath()
    box = pen.glyph()
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, box))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Han", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200)
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)
    return path


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("overview", "Why rows have no pairs"),
        ("queries?state=refused", "r2"),
        ("pairs", "PI_INS_"),
        ("statistics", "tatistics"),
        ("translation", "Arabic"),
        ("worth", "Precision and recall of rules"),
        ("control", "Control"),
        ("cold-start", "Cold start"),
    ],
)
def test_a_list_is_written_with_its_filters(seen: Viewing, tmp_path: Path, page: str, words: str) -> None:
    written = syphus.view(seen.viewer.runs.all()[0].folder, write=tmp_path / "page.html", page=page)
    assert written is not None
    text = written.path.read_text("utf-8")
    assert words in text
    assert "<script" not in text
    assert re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*", text) == []


def test_a_page_that_does_not_exist_is_said_in_one_line(seen: Viewing, tmp_path: Path) -> None:
    for page in ("nothing", "queries/999999", "queries?state=nothing"):
        with pytest.raises(syphus.SyphusError, match="--page") as raised:
            syphus.view(seen.viewer.runs.all()[0].folder, write=tmp_path / "page.html", page=page)
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "page.html").exists()
