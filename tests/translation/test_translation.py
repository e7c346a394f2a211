"""Translating from start to end: real files, a real server on loopback, one request after the other."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from browser import shown
from harness import run_rows, server
from processes import Watch, command, start, syphus
from translation_runs import TranslationRun, make_entry, make_pairs, run_translation, write_pairs

from syphus.answers.translation import LANGUAGES
from syphus.errors import InputError
from syphus.formats.mimicit.data_yaml import Finding
from syphus.formats.mimicit.discovery import find_groups
from syphus.formats.mimicit.verify import verify
from syphus.formats.translation_report import count_new_pairs
from syphus.ledger.records import highest_seq
from syphus.ledger.sessions import set_meta
from syphus.ledger.store import open_for_reading, open_for_writing
from syphus.runs.reader import read_query
from syphus.simulator import SimulatedServer
from syphus.translation.chunks import MAX_CHARACTERS
from syphus.translation.files import find_paths
from syphus.types import State

SEVEN = list(LANGUAGES)


def asked(simulated: SimulatedServer, since: int = 0) -> list[Any]:
    """What the requests asked for, as JSON."""
    return [json.loads(record.last_user) for record in list(simulated.endpoint.requests)[since:]]


def test_every_pair_comes_in_seven_languages_with_the_ids_images_and_context_of_the_english_one(tmp_path: Path) -> None:
    data = make_pairs(6) | {
        "TR_INS_a": make_entry("Who is it?", "A man with a red hat.", "TR_IMG_9", ("TR_INS_b",)),
        "TR_INS_b": make_entry("Where is he?", "In front of the station.", "TR_IMG_9", ("TR_INS_a",)),
    }
    (tmp_path / "TR_train.json").write_text('{"TR_INS_a": ["TR_INS_b"], "TR_INS_1": []}', "utf-8")
    with server() as simulated:
        done = run_translation(write_pairs(tmp_path, data), simulated.url)
        assert (done.exit_code, simulated.stats.requests) == (0, len(data))
    for code in SEVEN:
        made = done.data(code)
        assert list(made) == list(data)
        for name, english in data.items():
            assert {k: made[name][k] for k in ("image_ids", "rel_ins_ids")} == {
                k: english[k] for k in ("image_ids", "rel_ins_ids")
            }
            assert made[name]["instruction"] not in ("", english["instruction"])
        assert json.loads((tmp_path / f"TR_train_{code}.json").read_text("utf-8")) == {
            "TR_INS_a": ["TR_INS_b"],
            "TR_INS_1": [],
        }
    findings: list[Finding] = []
    verify(*find_groups([tmp_path, *(tmp_path / f"TR_{code}.yaml" for code in SEVEN)]), findings.append)
    assert {(finding.kind, finding.detail) for finding in findings} == {("missing setting", "images_path")}  # no store
    text = (tmp_path / "TR_instructions_ar.json").read_text("utf-8")
    assert "\\u" not in text
    assert "؟" in text


def test_repairing_a_tenth_of_the_translations_costs_at_most_a_quarter_more_requests(
    tmp_path: Path,
) -> None:
    made, requests = [], []
    for name, share in (("calm", 0.0), ("hit", 0.1)):
        (tmp_path / name).mkdir()
        with server(translation_damage=share) as simulated:
            done = run_translation(write_pairs(tmp_path / name, make_pairs(60)), simulated.url)
            requests.append(simulated.stats.requests)
        assert (done.exit_code, done.states("ko")) == (0, {State.OK: 60})
        made.append([done.data(code) for code in SEVEN])
    assert made[0] == made[1]
    assert requests[0] == 60
    assert requests[1] <= 1.25 * requests[0]
    assert sum(each.counts.retried for each in done.report.languages) > 20


def test_rejected_translations_are_retried_in_a_batch_with_the_reason_and_then_alone(tmp_path: Path) -> None:
    with server(translation_damage=1.0) as simulated:
        done = run_translation(write_pairs(tmp_path, make_pairs(3)), simulated.url, languages="de,ar", max_rounds=3)
        later = [each for each in asked(simulated) if "languages" not in each]
    assert [len(each) for each in later] == [6] + [1] * 12
    assert all("translations so far: 1; the last one: " in item["rejected"] for item in later[0].values())
    assert later[-1]["1"]["rejected"].startswith("translations so far: 3")
    assert done.exit_code == 1
    assert done.states("ar") == done.states("de") == {State.INVALID: 3}
    assert not (tmp_path / "TR_instructions_de.json").exists()
    with sqlite3.connect(done.ledger / "run.sqlite") as db:
        kept = db.execute("SELECT state, asked, reason, text, answer FROM part").fetchall()
    db.close()
    assert all(
        state == "invalid" and times == 4 and reason and text and answer for state, times, reason, text, answer in kept
    )


def test_retry_asks_only_for_invalid_translations(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, make_pairs(8))
    with server(translation_damage=0.4) as simulated:
        done = run_translation(file, simulated.url, max_rounds=0)
        bad = {code: done.states(code)[State.INVALID] for code in SEVEN}
        simulated.configure(translation_damage=0.0)
        before = simulated.stats.requests
        done = run_translation(file, simulated.url, retry=(State.INVALID,))
        wanted = [code for each in asked(simulated, before) for code in each["languages"]]
    assert done.exit_code == 0
    assert {code: wanted.count(code) for code in SEVEN} == bad
    assert all(done.states(code) == {State.OK: 8} for code in SEVEN)


def test_adding_a_language_asks_only_for_that_language(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, make_pairs(5))
    with server() as simulated:
        first = run_translation(file, simulated.url, languages="zh,ja")
        done = run_translation(file, simulated.url, languages="ko,ja,zh")
        assert [each["languages"] for each in asked(simulated)] == [["zh", "ja"]] * 5 + [["ko"]] * 5
        again = run_translation(file, simulated.url)
        assert simulated.stats.requests == 10
    assert again.lines[0] == "Nothing to translate: no request was sent."
    assert [each.code for each in done.report.languages] == ["zh", "ja", "ko"]
    out = [int(re.search(r"in, (\d+) out", "".join(lines))[1]) for lines in (first.lines, done.lines)]  # type: ignore[index]
    assert out[1] == out[0] // 2  # what is left is what it says that it will cost
    assert len(done.data("zh")) == len(done.data("ko")) == 5


def test_a_failed_pair_is_asked_for_in_another_language_and_retried_by_hand(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, make_pairs(3))
    with server(poison={"the 2 bicycles": "server_error"}) as simulated:
        done = run_translation(file, simulated.url, languages="zh", config={"max_attempts": 2})
        assert done.states("zh") == {State.OK: 2, State.FAILED: 1}
        simulated.configure(poison={})
        done = run_translation(file, simulated.url, languages="ko")
        assert done.states("ko") == {State.OK: 3}
        before = simulated.stats.requests
        done = run_translation(file, simulated.url, languages="zh", retry=(State.FAILED,))
        assert [each["languages"] for each in asked(simulated, before)] == [["zh"]]
    assert done.exit_code == 0


def test_only_a_changed_english_pair_is_translated_again(tmp_path: Path) -> None:
    data = make_pairs(5)
    data["TR_INS_5"] = make_entry("And what else?", "A lamp.", "TR_IMG_4", ("TR_INS_4",))  # sees the one before
    with server() as simulated:
        run_translation(write_pairs(tmp_path, data), simulated.url)
        old = TranslationRun(0, None, tmp_path, tmp_path).data("fr")
        data["TR_INS_4"]["answer"] = "A quite different thing has taken its place."
        del data["TR_INS_0"]
        done = run_translation(write_pairs(tmp_path, data), simulated.url)
        assert simulated.stats.requests == 7
        (changed,) = asked(simulated, 6)
    assert changed["answer"].startswith("A quite different")
    assert "The pairs have changed: 0 new, 1 changed, 1 removed." in done.lines
    new = done.data("fr")
    assert new["TR_INS_3"] == old["TR_INS_3"]
    assert new["TR_INS_4"] != old["TR_INS_4"]
    assert "TR_INS_0" not in new


def test_the_budget_holds_and_the_same_command_resumes(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, make_pairs(6))
    with server() as simulated:
        done = run_translation(file, simulated.url, max_requests=4)
        assert (done.exit_code, simulated.stats.requests) == (4, 4)
        assert done.states("es") == {State.OK: 4, State.PENDING: 2}
        assert len(done.data("es")) == 4
        done = run_translation(file, simulated.url)
        assert (done.exit_code, simulated.stats.requests) == (0, 6)


def test_a_server_without_schemas_is_asked_without_one(tmp_path: Path) -> None:
    with server(refuse_parameters=("response_format",)) as simulated:
        done = run_translation(write_pairs(tmp_path, make_pairs(3)), simulated.url, num_threads=1)
        assert (done.exit_code, simulated.stats.requests) == (0, 4)
        run_translation(write_pairs(tmp_path, make_pairs(4)), simulated.url)
        assert simulated.stats.requests == 5  # it is remembered


def test_a_truncated_answer_keeps_its_complete_languages(tmp_path: Path) -> None:
    with server(script=("truncated",)) as simulated:
        done = run_translation(write_pairs(tmp_path, make_pairs(1)), simulated.url)
        _, second = asked(simulated)
    assert done.exit_code == 0
    missing = [item["language"] for item in second.values()]
    assert 2 < len(missing) < 7
    assert missing == SEVEN[-len(missing) :]
    assert all("cut off at max_tokens" in item["rejected"] for item in second.values())


def test_languages_that_do_not_fit_into_one_answer_are_asked_for_one_after_the_other(tmp_path: Path) -> None:
    text = "The man in the blue jacket puts the box on the table. " * 8
    with server() as simulated:
        done = run_translation(
            write_pairs(tmp_path, {"TR_INS_1": make_entry("What happens?", text.strip())}),
            simulated.url,
            max_tokens=1000,
        )
        assert [code for each in asked(simulated) for code in each["languages"]] == SEVEN
        assert simulated.stats.requests > 1
    assert done.exit_code == 0


def test_a_long_pair_is_translated_in_chunks_and_joined(tmp_path: Path) -> None:
    paragraph = "A man walks along the quiet street and looks at the houses. " * 20
    answer = "\n\n".join([paragraph.strip()] * 5)
    assert len(answer) > 2 * MAX_CHARACTERS
    data = {"TR_INS_1": make_entry("What happens in the video?", answer)} | make_pairs(1)
    with server() as simulated:
        done = run_translation(write_pairs(tmp_path, data), simulated.url, languages="zh,de", max_tokens=8000)
        requests = asked(simulated)
    assert "".join(each.get("answer", "") for each in requests).count("walks") == 100
    assert any("What happens in the video?" in each.get("earlier", ()) for each in requests)
    assert done.report.pairs == 2
    pieces = read_query(done.ledger, "TR_INS_1")["pieces"]
    assert isinstance(pieces, list)
    assert [piece["id"] for piece in pieces][:2] == ["TR_INS_1#1", "TR_INS_1#2"]
    for code in ("zh", "de"):
        made = done.data(code)["TR_INS_1"]
        assert made["answer"].count("\n\n") == 4
        assert made["instruction"]
        assert done.states(code) == {State.OK: 2}


def conversation() -> dict[str, dict[str, object]]:
    questions = ("Who is at the door?", "What is she holding?", "Why does she smile?")
    names = [f"TR_INS_{i}" for i in range(3)]
    return {
        name: make_entry(questions[i], f"It is the number {i} of all the answers.", "TR_IMG_7", tuple(names[:i]))
        for i, name in enumerate(names)
    }


def test_rounds_see_the_earlier_ones_and_wait_for_them(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, conversation())
    with server(poison={'instruction":"What is she': "refusal"}) as simulated:
        done = run_translation(file, simulated.url, languages="es", num_threads=1, max_rounds=1)
        first, _, third = asked(simulated)[:3]
        whole = run_translation(file, simulated.url, languages="es", partial=True)
    assert "earlier" not in first
    assert third["earlier"][0].startswith("Who is at the door?")
    assert len(third["earlier"]) == 2
    assert done.states("es") == {State.OK: 2, State.REFUSED: 1}
    assert list(done.data("es")) == ["TR_INS_0", "TR_INS_2"]  # what was written last, with --partial
    assert done.data("es")["TR_INS_2"]["rel_ins_ids"] == ["TR_INS_0"]
    assert whole.exit_code == 1
    again = run_translation(file, simulated.url, languages="es")
    assert list(again.data("es")) == ["TR_INS_0"]


def test_translations_checked_by_an_older_version_are_checked_again_without_a_request(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, make_pairs(3))
    with server() as simulated:
        first = run_translation(file, simulated.url)
        store = open_for_writing(first.ledger)
        set_meta(store, "translate checks", "0123456789abcdef")
        store.commit()
        store.close()
        again = run_translation(file, simulated.url)
        assert simulated.stats.requests == 3
    message = "The checks or the glossary have changed: all translations were checked again, 0 results changed."
    assert message in again.lines
    assert again.data("fr") == first.data("fr")


def test_a_glossary_is_in_the_prompt_and_is_checked_in_old_translations_too(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, make_pairs(3))
    (tmp_path / "terms.yaml").write_text("wooden bench: {de: Bahnsteigbank}\nunheard-of: {de: nie}\n", "utf-8")
    terms: dict[str, Any] = {"glossary": tmp_path / "terms.yaml", "languages": "de"}
    with server() as simulated:
        run_translation(file, simulated.url, languages="de")
        refused = run_translation(file, simulated.url, **terms)
        assert refused.exit_code == 2
        assert "glossary" in str(refused.error)
        judged = run_translation(file, simulated.url, accept_changes=True, **terms)
        assert simulated.stats.requests == 3
        assert judged.states("de") == {State.INVALID: 3}
        assert judged.reasons("de") == {"terms": 3}
        done = run_translation(file, simulated.url, accept_changes=True, retry=(State.INVALID,), **terms)
        assert asked(simulated, 3)[0]["terms"] == {"wooden bench": {"de": "Bahnsteigbank"}}
    assert done.exit_code == 0
    assert all("Bahnsteigbank" in made["answer"] for made in done.data("de").values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": "zh,tlh"}, "--languages tlh: unknown language; use zh, ja,"),
        ({"tone": "zh=rude"}, "--tone zh=rude"),
        ({"retry": (State.FAILED,), "glossary": Path("none.yaml")}, "none.yaml"),
    ],
)
def test_bad_options_are_named_and_leave_nothing_behind(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    done = run_translation(write_pairs(tmp_path, make_pairs(1)), "http://127.0.0.1:9", **options)
    assert done.exit_code == 2
    assert message in str(done.error)
    assert not done.ledger.exists()


def test_the_main_job_refuses_an_unknown_language_before_the_first_request(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 2, languages="zh,tlh")
        assert (ran.exit_code, simulated.stats.requests) == (2, 0)


def test_a_pair_that_is_not_english_costs_nothing_and_says_so(tmp_path: Path) -> None:
    data = make_pairs(2) | {
        "TR_INS_zh": make_entry("图片里有什么？这个人在做什么？", "图片里有一个人正在骑自行车，旁边有三只狗。"),
        "TR_INS_de": make_entry(
            "Was ist auf dem Bild zu sehen?", "Ein Mann fährt mit dem Fahrrad, daneben stehen Hunde."
        ),
        "TR_INS_odd": make_entry("What does the sign say?", "Défense de fumer dans les locaux de l'établissement"),
    }
    with server() as simulated:
        done = run_translation(write_pairs(tmp_path, data), simulated.url)
        assert (done.exit_code, simulated.stats.requests) == (1, 3)
    for code in SEVEN:
        assert done.reasons(code) == {"not English": 2}
        assert list(done.data(code)) == ["TR_INS_0", "TR_INS_1", "TR_INS_odd"]


def test_a_broken_pair_is_named_or_counted(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, {**make_pairs(1), "TR_INS_bad": {"instruction": "What?"}})
    with server() as simulated:
        refused = run_translation(file, simulated.url)
        assert refused.exit_code == 2
        assert "record 2" in str(refused.error)
        assert '"answer"' in str(refused.error)
        done = run_translation(file, simulated.url, allow_bad_rows=True)
        assert (done.exit_code, simulated.stats.requests) == (1, 1)
    assert done.states("zh") == {State.OK: 1, State.FAILED: 1}
    assert done.reasons("zh") == {"bad row": 1}


def test_the_same_ledger_gives_the_same_bytes(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, make_pairs(12))
    with server(translation_damage=0.2, latency=0.002, latency_sigma=1.0) as simulated:
        done = run_translation(file, simulated.url)
    made = {path.name: path.read_bytes() for path in tmp_path.glob("TR_*") if path.is_file()}
    report = (done.ledger / "report.json").read_bytes()
    for name in made.keys() - {file.name}:
        (tmp_path / name).unlink()
    run_translation(file, "http://127.0.0.1:9")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("TR_*") if path.is_file()} == made
    assert (done.ledger / "report.json").read_bytes() == report


def test_asking_for_each_language_alone_is_checked_and_repaired_too(tmp_path: Path) -> None:
    with server(translation_damage=0.2) as simulated:
        done = run_translation(write_pairs(tmp_path, make_pairs(4)), simulated.url, per_language=True)
        assert all(len(each.get("languages", each)) == 1 for each in asked(simulated))
    assert done.exit_code == 0
    assert all(done.states(code) == {State.OK: 4} for code in SEVEN)


# The main job goes on with its pairs, and a process may be killed at any moment.


def test_the_main_job_translates_its_pairs_and_status_shows_them(tmp_path: Path) -> None:
    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 6, languages="ar,zh", max_requests=10)
        count = ran.report.counts.pairs
        assert ran.exit_code == 4  # the budget is the whole run's
        ran = run_rows(tmp_path, simulated.url, 6, languages="ar,zh")
        assert (ran.exit_code, simulated.stats.requests) == (0, 6 + count)
    english = ran.data
    arabic = json.loads((ran.folder / "RW_instructions_ar.json").read_text("utf-8"))
    assert list(arabic["data"]) == list(english)
    assert arabic["meta"]["simulated"] is True
    report = json.loads((ran.folder / "report.json").read_text("utf-8"))
    assert report["queries"] == 6
    assert report["translation"]["languages"]["zh"]["states"]["ok"] == count
    assert len(report["translation"]["languages"]["zh"]["sample"]) == min(20, count)
    done = syphus(tmp_path, "status", str(ran.folder))
    assert f"{count} pairs in 2 languages: {2 * count} = {2 * count} ok" in done.stdout


def test_pairs_that_replace_equally_many_are_pending_until_they_are_translated(tmp_path: Path) -> None:
    def behind() -> int:
        with closing(open_for_reading(ran.folder)) as ledger:
            return count_new_pairs(ledger)

    with server() as simulated:
        ran = run_rows(tmp_path, simulated.url, 4, languages="zh")
        assert behind() == 0
        with closing(open_for_writing(ran.folder)) as store:
            select = (
                "SELECT n, result.pairs FROM query JOIN result USING (n) WHERE stage = 'generate' ORDER BY n LIMIT 1"
            )
            ((n, pairs),) = store.read(select)
            first, *others = json.loads(pairs)
            changed = json.dumps([[first[0], first[1], "Quite another answer.", *first[3:]], *others])
            store.execute("UPDATE result SET pairs = ? WHERE n = ?", changed, n)
            store.execute("UPDATE query SET seq = ? WHERE n = ?", highest_seq(store) + 1, n)
            store.commit()
        assert behind() == 1
        assert run_translation(ran.folder, simulated.url, languages="zh").exit_code == 0
        assert behind() == 0


def test_a_run_that_is_killed_several_times_writes_the_same_files(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"translation_damage": 0.15, "latency": 0.003}
    options = ("--languages", "zh,de,ar")
    names = [f"RW_instructions_{code}.json" for code in ("zh", "de", "ar")]
    with server(**settings) as simulated:
        calm = run_rows(tmp_path, simulated.url, 20, languages="zh,de,ar", dataset_version="calm", num_threads=8)
        needed = simulated.stats.requests
    with server(**settings) as simulated:
        watch, stops = Watch(simulated), [("answer", 25), ("request", 19), ("answer", 14)]
        for what, number in stops:
            with start(command(tmp_path, simulated.url, 20, *options), tmp_path) as process:
                watch.at(what, number, process.kill)
                process.communicate(timeout=60)
            assert process.returncode == -9
        ran = run_rows(tmp_path, simulated.url, 20, languages="zh,de,ar", num_threads=8)
        assert watch.dup_after_ok <= 8 * len(stops)
        assert watch.requests <= needed + 8 * len(stops) + 8
    assert ran.exit_code == 0
    assert [(ran.folder / name).read_bytes() for name in names] == [(calm.folder / name).read_bytes() for name in names]


def test_the_command_takes_a_folder_and_the_name_in_the_first_syphus_works(tmp_path: Path) -> None:
    write_pairs(tmp_path, make_pairs(2))

    def typed(*arguments: str) -> tuple[int, str]:
        done = syphus(tmp_path, *arguments, "--offline", "--languages", "ja")
        return done.returncode, done.stderr

    code, output = typed("translate", ".")
    assert code == 0
    assert "2 pairs in 1 language: 2 = 2 ok" in output
    assert (tmp_path / "TR_instructions_ja.json").is_file()
    assert typed("--name", "Translation.translate", "-in", "TR_instructions.json")[0] == 0
    assert (tmp_path / "output" / "Translation.translate" / "v1" / "TR_instructions_ja.json").is_file()


def test_the_input_is_a_file_or_a_folder_with_one_file(tmp_path: Path) -> None:
    file = write_pairs(tmp_path, make_pairs(1))
    assert find_paths(tmp_path) == find_paths(file)
    assert find_paths(file).ledger == tmp_path / "TR_instructions.translation"
    elsewhere = find_paths(file, tmp_path / "out")
    assert (elsewhere.ledger, elsewhere.output) == (tmp_path / "out" / "TR_instructions.translation", tmp_path / "out")
    shutil.copy(file, tmp_path / "XX_instructions.json")
    shutil.copy(file, tmp_path / "TR_instructions_ja.json")
    for path, message in ((tmp_path, "holds several"), (tmp_path / "TR_instructions_ja.json", "translation already")):
        with pytest.raises(InputError, match=message):
            find_paths(path)


def test_the_page_shows_arabic_from_right_to_left(tmp_path: Path) -> None:
    with server() as simulated:
        done = run_translation(write_pairs(tmp_path, make_pairs(30)), simulated.url, languages="ar,de")
    with shown(done.ledger / "translation.html") as page:
        assert page.locator("td[lang=ar]").count() == page.locator("td[lang=de]").count() == 20
        cell = "document.querySelector('td[lang=%s]')"
        assert page.evaluate(f"getComputedStyle({cell % 'ar'}).direction") == "rtl"
        starts = (
            "(c => { const r = document.createRange(); r.selectNodeContents(c.firstChild);"
            " const a = r.getBoundingClientRect(), b = c.getBoundingClientRect();"
            " return [a.left - b.left, b.right - a.right] })"
        )
        left, right = page.evaluate(f"{starts}({cell % 'ar'})")
        assert right < left
        left, right = page.evaluate(f"{starts}({cell % 'de'})")
        assert left < right
