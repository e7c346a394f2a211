"""Push a run, or an export of it, to a dataset repository of the Hugging Face Hub.

All files go in one commit, so that nobody loads half a dataset. `huggingface_hub` sends them, large files first, each
under its hash: after a stop, what the Hub already has is not sent again. The library also finds the Hub and the token:
HF_ENDPOINT, HF_TOKEN, or what `hf auth login` has stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from syphus.config.option_types import ExportArguments
from syphus.config.secrets import SecretRedactor
from syphus.endpoints.rate_limit_headers import retry_wait
from syphus.errors import ConfigError, ProviderError, RunError, SyphusError
from syphus.formats.card import CARD_FILE, PAIRS_KEY, SIMULATED_TAG, read_front_matter
from syphus.ledger.store import FILE as LEDGER
from syphus.runs.export import EXPORT_FOLDER, export_run
from syphus.runs.export_options import make_export_options
from syphus.text import install_hint

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import RepoFile

    from syphus.formats.source import Translations
    from syphus.ledger.store import Store

DEFAULT_FORMAT, DEFAULT_WITH_IMAGES = "parquet", "trl"  #: of a run, unless the user names one

_REPO_TYPE = "dataset"
_CHUNK_BYTES = 1 << 20  # read at once for a hash
_ATTEMPTS = 5  # of a call that the Hub refuses with 429
_MAX_WAIT = 300.0  # seconds; the Hub counts requests in windows of five minutes


class PushTarget(NamedTuple):
    """The repository as USER/NAME, whether it must be private, and a branch (None: the default branch)."""

    repo: str
    private: bool = False
    revision: str | None = None


class PushResult(NamedTuple):
    """The repository's address, the names of the sent files, their bytes, and the number of unchanged files."""

    url: str
    sent: list[str]
    size: int
    unchanged: int


class PushChoice(NamedTuple):
    """What is sent of a run: the format, and the arguments of the export, with what opens its translations.

    Without a format, a run with images becomes conversations in which the Hub's viewer shows them; one without becomes
    rows of pairs.
    """

    format: str = ""
    datasets_dir: tuple[Path, ...] = ()
    arguments: ExportArguments = ExportArguments()
    translations: Callable[[Store], Translations] | None = None

    @property
    def format_name(self) -> str:
        """The format, chosen if the user names none."""
        return self.format or (DEFAULT_WITH_IMAGES if self.arguments.get("images") else DEFAULT_FORMAT)

    @property
    def given(self) -> list[str]:
        """The options of an export that the user has given, as they are typed."""
        named = {"format": self.format, **self.arguments}
        return [f"--{name.replace('_', '-')}" for name, value in named.items() if value and name != "on_note"]


def push(folder: Path, choice: PushChoice, target: PushTarget, allow_simulated: bool, progress: bool) -> PushResult:
    """Push a folder that `export` has written. A run's folder is first exported as chosen.

    Raises `RunError` for simulated data, unless that is allowed, `ConfigError` for a folder without a dataset card, and
    what `export_run` and `push_files` raise.
    """
    is_run = (folder / LEDGER).is_file()
    require_hub()
    if is_run:
        options = make_export_options(choice.arguments, choice.translations)
        export_run(folder, [choice.format_name], None, choice.datasets_dir, options)
        folder = folder / EXPORT_FOLDER / choice.format_name
    elif choice.given:
        raise ConfigError(f"{folder} is not a run; {choice.given[0]} applies only to the folder of a run.")
    card = read_front_matter(folder / CARD_FILE)
    if PAIRS_KEY not in card:  # everything in the folder is sent, so it must be an export
        raise ConfigError(f"{folder} holds no {CARD_FILE} with pairs: push needs the folder of a run or of an export.")
    tags = card.get("tags")
    if isinstance(tags, list) and SIMULATED_TAG in tags and not allow_simulated:
        raise RunError(f"{folder} holds simulated data; add --allow-simulated to send it anyway.")
    return push_files(_files(folder), target, progress)


def require_hub() -> None:
    """Raise `ConfigError` if huggingface_hub is not installed, or no user is logged in."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigError(f"push needs huggingface_hub: {install_hint('hub')}") from error
    if not huggingface_hub.get_token():
        raise ConfigError("There is no token for the Hub: set HF_TOKEN, or run: hf auth login")


def push_files(files: Mapping[str, Path], target: PushTarget, progress: bool) -> PushResult:
    """Send files under the given names, except those that the Hub has unchanged. Create the repository if needed.

    The target's branch must exist. `progress` shows bars on stderr. Raises `ConfigError` for a repository or branch
    that can't be used, `ProviderError` if the Hub refuses or can't be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import RepoFile
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # errors are reported here
    if not progress:
        disable_progress_bars()
    api, call = HfApi(), _retrying()
    repo, revision = target.repo, target.revision
    with _translate_errors(api, target):
        url = str(call(api.create_repo, repo, repo_type=_REPO_TYPE, private=target.private or None, exist_ok=True))
        if target.private and not call(api.repo_info, repo, repo_type=_REPO_TYPE).private:
            raise ConfigError(f"{repo} already exists, and is public: --private can't change that. Nothing was sent.")
        paths = call(api.get_paths_info, repo, list(files), repo_type=_REPO_TYPE, revision=revision)
        remote = {each.path: each for each in paths if isinstance(each, RepoFile)}
        new = {name: path for name, path in files.items() if name not in remote or not _is_same(path, remote[name])}
        if new:
            additions = [CommitOperationAdd(name, str(path)) for name, path in new.items()]
            message = f"Upload {', '.join(new)}" if len(new) < 5 else f"Upload {len(new)} files"
            call(
                api.create_commit,
                repo,
                additions,
                commit_message=message,
                repo_type=_REPO_TYPE,
                revision=revision,
            )
    return PushResult(url, list(new), sum(path.stat().st_size for path in new.values()), len(files) - len(new))


def _retrying() -> Retrying:
    """Return what repeats a call that the Hub refuses with 429, after the wait that the Hub asks for."""
    return Retrying(
        retry=retry_if_exception(_is_rate_limited),
        wait=_rate_limit_wait,
        stop=stop_after_attempt(_ATTEMPTS),
        reraise=True,
    )


def _is_rate_limited(error: BaseException) -> bool:
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError) and error.response.status_code == 429


def _rate_limit_wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    response = getattr(error, "response", None)
    hint = retry_wait(response.headers, str(error), time.time()) if response is not None else None
    return min(float(2**state.attempt_number) if hint is None else hint, _MAX_WAIT)


def _is_same(path: Path, remote: RepoFile) -> bool:
    """Return whether a file has the same content on the Hub: by SHA-256 if it is large, otherwise by git's hash."""
    if path.stat().st_size != remote.size:
        return False
    digest = hashlib.sha256() if remote.lfs else hashlib.sha1(b"blob %d\0" % remote.size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == (remote.lfs.sha256 if remote.lfs else remote.blob_id)


@contextlib.contextmanager
def _translate_errors(api: HfApi, target: PushTarget) -> Iterator[None]:
    """Turn whatever the library raises into an error of one line, without the token."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError

    repo = target.repo
    redactor = SecretRedactor([get_token() or ""])
    try:
        yield
    except SyphusError:
        raise
    except HFValidationError as error:
        raise ConfigError(f"--repo {repo}: USER/NAME is expected ({str(error).rstrip('.')}).") from error
    except RevisionNotFoundError as error:
        raise ConfigError(f"{repo} has no branch {target.revision}; create it there first.") from error
    except Exception as error:  # of the library, of its http client, which changes, or of the client for Xet
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        reply = cause if isinstance(cause, HfHubHTTPError) else cause.__cause__
        status = reply.response.status_code if isinstance(reply, HfHubHTTPError) else 0
        detail = cause.server_message if isinstance(cause, HfHubHTTPError) else str(cause)
        line = redactor.scrub(" ".join((detail or type(cause).__name__).split())).rstrip(".")
        if isinstance(reply, HfHubHTTPError) and _is_about_card(reply):
            raise ConfigError(_BAD_CARD.format(api.endpoint, repo, line)) from error
        refused = _REFUSED_FOR_GOOD if 400 <= status < 500 and status not in _MAY_PASS else _FAILED
        raise ProviderError(f"{_REFUSED.get(status, refused).format(api.endpoint, repo)} ({line}).") from error


def _is_about_card(refusal: HfHubHTTPError) -> bool:
    """Return whether this is the Hub's refusal of the front matter in a dataset card, which it checks by itself."""
    reply = refusal.response
    return reply.status_code == 400 and str(reply.url).partition("?")[0].endswith("/validate-yaml")


_MAY_PASS = (408, 409, 412, 423, 425, 429)  #: statuses that another attempt may not get
_BAD_CARD = (
    "{0} refuses the dataset card of {1}: {2}. Change the plugin's `licence`, or what else it names, and push the run "
    "again; of a folder that was exported, change README.md or export again."
)
_FAILED = "{0} can't accept the files of {1} now; run the same command again to resume"
_REFUSED_FOR_GOOD = "{0} refuses the files of {1}, and the same command will be refused again"
_REFUSED = {
    401: "{0} does not accept the token: set HF_TOKEN, or run: hf auth login",
    403: "{0} does not let this token write to {1}",
    404: "{0} has no {1}, or this token may not see it",
}


def _files(folder: Path) -> dict[str, Path]:
    """Return the files in the folder and below, except hidden ones, by their names in the repository."""
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path for name, path in found.items() if not any(part.startswith(".") for part in name.parts)
    }
