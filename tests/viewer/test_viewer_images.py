"""The images of queries, as the viewer's real server gives them: from stores, folders, plugins, and nowhere else."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import run_rows, server
from image_rows import ask, picture, write_picture, write_store
from PIL import Image
from viewing import Reply, Viewing, viewing

from syphus.viewer.write_page import write_page

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


def image(seen: Viewing, n: int, k: int, more: str = "") -> Reply:
    return seen.get(f"/api/runs/{seen.key}/images/{n}/{k}{more}")


def query(seen: Viewing, name: str) -> dict[str, Any]:
    (row,) = [row for row in seen.api("queries")["rows"] if row["id"] == name]
    found: dict[str, Any] = seen.api(f"queries/{row['n']}")
    return found


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Viewing, Path]]:
    """A run that has sent images of all kinds: files, ids of a folder, bytes of the plugin."""
    folder = tmp_path_factory.mktemp("sent")
    for name in ("a.jpg", "b.png", "gone.jpg", "changed.jpg"):
        write_picture(folder / "images" / name, seed=len(name))
    write_picture(folder / "images" / "large.png", 640, 480)
    rows: list[dict[str, Any]] = [
        {"id": "files", "images": ["a.jpg", "b.png"]},
        {"id": "ids", "images": [{"id": "a"}], "image_ids": ["PI_IMG_a"]},
        {"id": "bytes", "images": [], "coded": [base64.b64encode(picture(32, 24, 5)).decode()]},
        {"id": "large", "images": ["large.png"]},
        {"id": "gone", "images": ["gone.jpg"]},
        {"id": "changed", "images": ["changed.jpg"]},
    ]
    with server() as running:
        ran = ask(folder, running, rows, images=folder / "images")
    (folder / "images" / "gone.jpg").unlink()
    write_picture(folder / "images" / "changed.jpg", seed=77)
    with viewing(ran.folder, cache=folder / "cache") as running_viewer:
        yield running_viewer, folder


def test_images_that_were_sent_are_shown(sent: tuple[Viewing, Path]) -> None:
    seen, folder = sent
    files = query(seen, "files")
    assert [each["kind"] for each in files["images"]] == ["folder", "folder"]
    assert (files["images"][0]["width"], files["images"][0]["height"]) == (64, 48)
    assert files["messages"][-1]["content"][:2] == [{"image": 0}, {"image": 1}]
    for k, (name, kind) in enumerate((("a.jpg", "image/jpeg"), ("b.png", "image/png"))):
        reply = seen.get(files["images"][k]["url"])
        assert (reply.status, reply.headers["Content-Type"]) == (200, kind)
        assert reply.body == (folder / "images" / name).read_bytes()
        assert "immutable" in reply.headers["Cache-Control"]
    assert seen.get(query(seen, "ids")["images"][0]["url"]).body == (folder / "images" / "a.jpg").read_bytes()
    assert query(seen, "ids")["images"][0]["name"] == "PI_IMG_a"
    handed = query(seen, "bytes")["images"]
    assert [each["kind"] for each in handed] == ["prompt"]
    assert seen.get(handed[0]["url"]).body == picture(32, 24, 5)


def test_images_are_scaled_down(sent: tuple[Viewing, Path]) -> None:
    seen, folder = sent
    reply = image(seen, query(seen, "large")["n"], 0, "?size=64")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(reply.body)).size == (64, 48)
    assert image(seen, query(seen, "files")["n"], 0, "?size=9999").body == (folder / "images" / "a.jpg").read_bytes()
    assert "immutable" not in reply.headers["Cache-Control"]


def test_an_image_that_is_gone_or_changed_is_not_shown_as_what_was_sent(sent: tuple[Viewing, Path]) -> None:
    seen, folder = sent
    for name, reason in (("gone", "missing"), ("changed", "it has changed since")):
        reply = image(seen, query(seen, name)["n"], 0)
        assert reply.status == 404
        assert reason in reply.json["error"]
        assert str(folder) not in reply.json["error"]


@pytest.mark.parametrize("k", ["9", "-1", "0/../0", "x", "1e3", "%2e%2e"])
def test_there_are_no_other_images(sent: tuple[Viewing, Path], k: str) -> None:
    seen, _ = sent
    assert seen.get(f"/api/runs/{seen.key}/images/1/{k}").status == 404


def test_images_of_a_store_are_found_by_the_ids_of_the_pairs(tmp_path: Path) -> None:
    images = {"RW_IMG_r000": picture(20, 20, 1), "RW_IMG_r001": SVG, "RW_IMG_r002": picture(20, 20, 3, "TIFF")}
    store = write_store(tmp_path / "store.parquet", images)
    with server() as running:
        ran = run_rows(tmp_path, running.url, 4)
    with viewing(ran.folder, cache=tmp_path / "cache", images=[store]) as seen:
        found = [image(seen, query(seen, f"r{n:03d}")["n"], 0) for n in range(4)]
    assert (found[0].status, found[0].body) == (200, images["RW_IMG_r000"])
    assert found[1].status in (404, 415)
    assert b"svg" not in found[1].body
    assert (found[2].status, found[2].headers["Content-Type"]) == (200, "image/jpeg")  # no browser shows a TIFF
    assert found[3].status == 404
    assert "immutable" not in found[0].headers["Cache-Control"]


def test_a_folder_gives_its_images_and_nothing_else(tmp_path: Path) -> None:
    write_picture(tmp_path / "secret.jpg")
    write_picture(tmp_path / "images" / "r000.jpg")
    (tmp_path / "images" / "r001.jpg").write_text("root:x:0:0", "utf-8")
    (tmp_path / "images" / "r002.png").write_bytes(SVG)
    (tmp_path / "images" / "r003.jpg").symlink_to(tmp_path / "gone.jpg")
    names = {"r000": "x", "r001": "x", "r002": "x", "r003": "x", "../secret": "x", str(tmp_path / "secret"): "x"}
    with server() as running:
        ran = run_rows(tmp_path, running.url, names)
    with viewing(ran.folder, cache=tmp_path / "cache", images=[tmp_path / "images"]) as seen:
        replies = {name: image(seen, query(seen, name)["n"], 0) for name in names}
    assert replies["r000"].status == 200
    assert {reply.status for name, reply in replies.items() if name != "r000"} == {404}
    assert all(b"root:" not in reply.body and b"svg" not in reply.body for reply in replies.values())


def test_frames_of_a_video_have_their_seconds(tmp_path: Path) -> None:
    frames = [f"DC_IMG_v_abc_{second:04}" for second in (3, 7, 12)]
    rows: list[dict[str, Any]] = [
        {"id": "video", "image_ids": frames},
        {"id": "photos", "image_ids": ["X_IMG_12345", "X_IMG_12346"]},
        {"id": "two", "image_ids": ["X_IMG_a_0001", "X_IMG_b_0002"]},
        {"id": "one", "image_ids": frames[:1]},
    ]
    with server() as running:
        ran = ask(tmp_path, running, rows)
    with viewing(ran.folder, cache=tmp_path / "cache") as seen:
        seconds = {row["id"]: [each["seconds"] for each in query(seen, row["id"])["images"]] for row in rows}
    assert seconds == {"video": [3.0, 7.0, 12.0], "photos": [None, None], "two": [None, None], "one": [None]}


def test_no_image_is_asked_for_where_there_is_no_place_to_look(tmp_path: Path) -> None:
    with server() as running:
        ran = run_rows(tmp_path, running.url, 2)
    (tmp_path / "store").mkdir()
    for images, has_address in (([], False), ([tmp_path / "gone"], False), ([tmp_path / "store"], True)):
        with viewing(ran.folder, cache=tmp_path / "cache", images=images) as seen:
            rows = seen.api("queries")["rows"]
            single = seen.api(f"queries/{rows[0]['n']}")
            listed = [each for path in ("pairs", "review/queue?reviewer=ann") for each in seen.api(path)["pairs"]]
            assert len({each["query"] for each in listed}) == 2
            found = [image for each in (single, *listed) for image in each["images"]]
            assert found
            assert {image["url"] is not None for image in found} == {has_address}
            assert all(("url" in row["images"][0]) != has_address for row in rows)


@pytest.mark.parametrize("page", ["queries/1", "pairs"])
def test_a_written_page_says_once_how_to_name_images(tmp_path: Path, page: str) -> None:
    with server() as running:
        ran = run_rows(tmp_path, running.url, 2)
    written = write_page([ran.folder], tmp_path / "page.html", page)
    assert (written.pictures, written.left_out) == (0, 0)
    text = written.path.read_text("utf-8")
    assert text.count("--images PATH") == 1
    assert 'class="missing"' not in text
