"""A run, or what was exported of it, to the Hugging Face Hub."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from syphus.config.secrets import SecretRedactor
from syphus.errors import ConfigError, ProviderError, RunError, SyphusError
from syphus.formats.card import CARD_FILE, PAIRS_KEY, SIMULATED_TAG, read_front_matter
from syphus.ledger.store import FILE as LEDGER
from syphus.runs.export import FOLDER, export_run
from syphus.text import install_hint

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

# FOLDED from hub.py:
# Files to a dataset repository of the Hugging Face Hub, with `huggingface_hub`, which knows how to send them.
#
# One commit for all files, so that nobody loads half a dataset. The library sends large files first, each
# under its hash;
# after a stop, what the Hub has of them is not sent again. Where to and with which token is the library's
# business, too:
# HF_ENDPOINT, HF_TOKEN, or what `hf auth login` has left. Needs `pip install syphus[hub]`.

_KIND = "dataset"
_PIECE = 1 << 20  # bytes that are hashed at once


class PushResult(NamedTuple):
    """What was done: the address, the names of the files that were sent, their bytes, and how many were there."""

    url: str
    sent: list[str]
    size: int
    unchanged: int


def require_hub() -> None:
    """Raises `ConfigError` where huggingface_hub is not installed, or nobody is logged in."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigError(f"push needs huggingface_hub: {install_hint('hub')}") from error
    if not huggingface_hub.get_token():
        raise ConfigError("There is no token of the Hub: set HF_TOKEN, or type: hf auth login")


def push_files(files: Mapping[str, Path], repo: str, private: bool, revision: str | None, progress: bool) -> PushResult:
    """Sends files, each under the name that it is to have, and makes the repository where there is none.

    Those that are there with the same content are left out. `revision` is a branch that is there already, `progress`
    shows bars on stderr. Raises `ConfigError` for a repository or branch that can't be used, `ProviderError` where the
    Hub refuses or can't be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import RepoFile
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of what is told here
    if not progress:
        disable_progress_bars()
    api = HfApi()
    with _told(api, repo, revision):
        url = str(api.create_repo(repo, repo_type=_KIND, private=private or None, exist_ok=True))
        _check_private(api, repo, private)
        there = api.get_paths_info(repo, list(files), repo_type=_KIND, revision=revision)
        known = {each.path: each for each in there if isinstance(each, RepoFile)}
        new = {name: path for name, path in files.items() if name not in known or not _same(path, known[name])}
        if new:
            additions = [CommitOperationAdd(name, str(path)) for name, path in new.items()]
            message = f"Upload {', '.join(new)}" if len(new) < 5 else f"Upload {len(new)} files"
            api.create_commit(repo, additions, commit_message=message, repo_type=_KIND, revision=revision)
    return PushResult(url, list(new), sum(path.stat().st_size for path in new.values()), len(files) - len(new))


def _check_private(api: HfApi, repo: str, private: bool) -> None:
    if private and not api.repo_info(repo, repo_type=_KIND).private:
        raise ConfigError(f"{repo} is there already, and public: --private can't change that. Nothing was sent.")


def _same(path: Path, there: RepoFile) -> bool:
    """Whether the file has the content that is there: by SHA-256 where it is large, as git names it otherwise."""
    if path.stat().st_size != there.size:
        return False
    made = hashlib.sha256() if there.lfs else hashlib.sha1(b"blob %d\0" % there.size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            made.update(piece)
    return made.hexdigest() == (there.lfs.sha256 if there.lfs else there.blob_id)


@contextlib.contextmanager
def _told(api: HfApi, repo: str, revision: str | None) -> Iterator[None]:
    """Makes one line of whatever the library raises, without the token."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError

    redactor = SecretRedactor([get_token() or ""])
    try:
        yield
    except SyphusError:
        raise
    except HFValidationError as error:
        raise ConfigError(f"--repo {repo}: USER/NAME is expected ({str(error).rstrip('.')}).") from error
    except RevisionNotFoundError as error:
        raise ConfigError(f"{repo} has no branch {revision}; make it there first.") from error
    except Exception as error:  # the library's own, those of its http client, which changes, and of the one for Xet
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else 0
        said = cause.server_message if isinstance(cause, HfHubHTTPError) else str(cause)
        told = redactor.scrub(" ".join((said or type(cause).__name__).split())).rstrip(".")
        raise ProviderError(f"{_REFUSED.get(status, _FAILED).format(api.endpoint, repo)} ({told}).") from error


_FAILED = "{0} can't take the files of {1} now; the same command goes on"
_REFUSED = {
    401: "{0} does not take the token: set HF_TOKEN, or type: hf auth login",
    403: "{0} does not let this token write to {1}",
    404: "{0} has no {1}, or this token may not see it",
}


DEFAULT_FORMAT = "parquet"  #: of a run, where none is named


class PushTarget(NamedTuple):
    """Where to: the repository as USER/NAME, whether it must be private, and a branch (None: the usual one)."""

    repo: str
    private: bool = False
    revision: str | None = None


def push(
    folder: Path, form: str, target: PushTarget, allow_simulated: bool, datasets_dir: Iterable[Path], progress: bool
) -> PushResult:
    """Sends a folder that `export` has written; a run's folder is exported first, in the format `form`.

    Raises `RunError` for data that was made up, unless that is allowed, `ConfigError` for a folder without a card, and
    what `export_run` and `push_files` raise.
    """
    require_hub()
    if (folder / LEDGER).is_file():
        export_run(folder, [form or DEFAULT_FORMAT], None, datasets_dir)
        folder = folder / FOLDER / (form or DEFAULT_FORMAT)
    elif form:
        raise ConfigError(f"{folder} is no run; --format {form} is for the folders of runs.")
    card = read_front_matter(folder / CARD_FILE)
    if PAIRS_KEY not in card:  # all that is in the folder goes out: it must be one that was made for that
        raise ConfigError(f"{folder} holds no {CARD_FILE} with pairs: push takes the folder of a run, or of an export.")
    tags = card.get("tags")
    if isinstance(tags, list) and SIMULATED_TAG in tags and not allow_simulated:
        raise RunError(f"{folder} was made up by the simulated endpoint; --allow-simulated sends it all the same.")
    return push_files(_files(folder), target.repo, target.private, target.revision, progress)


def _files(folder: Path) -> dict[str, Path]:
    """What is in the folder and below, by the names that they will have; nothing that is hidden."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path for name, path in found.items() if not any(part.startswith(".") for part in name.parts)
    }
