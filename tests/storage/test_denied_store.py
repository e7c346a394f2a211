"""A store whose keys are right but have no rights: one line says so, and nothing is asked or left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import run_rows, server
from object_store import denying_store

from syphus.api_exports import publish
from syphus.errors import InputError


@pytest.mark.parametrize(
    "options",
    [
        {"query_inputs_path": "s3://bucket/rows.jsonl"},
        {"query_inputs_path": "s3://bucket/part-*.jsonl"},
        {"snapshot": "s3://bucket/snapshot"},
    ],
)
def test_a_run_without_rights_in_the_bucket_ends_before_its_first_request(
    options: dict[str, Any], tmp_path: Path
) -> None:
    with server() as simulated, denying_store(tmp_path / "copies"):
        ran = run_rows(tmp_path, simulated.url, 2, **options)
        assert simulated.stats.requests == 0
    assert ran.exit_code == 2
    (url,) = options.values()
    assert str(ran.error).startswith(f"{url}: permission denied"), ran.error
    assert "\n" not in str(ran.error)
    assert not ran.folder.exists()


def test_an_export_without_rights_in_the_bucket_is_one_line(tmp_path: Path) -> None:
    with server() as simulated, denying_store(tmp_path / "copies"):
        ran = run_rows(tmp_path, simulated.url, 2)
        with pytest.raises(InputError, match=r"^s3://bucket/release: permission denied.*$"):
            publish(ran.folder, "llava", "s3://bucket/release")
