"""Files by URL, through fsspec and its packages: what is there, which version, and errors in one line.

Nothing of fsspec is imported before a URL is used. Settings of a store (address, keys, region) are those of its own
package: of s3fs, what boto3 reads from the environment and `~/.aws`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from syphus.errors import ConfigError, InputError, StorageError, SyphusError
from syphus.storage.addresses import join_url, protocol
from syphus.text import install_hint, one_line

#: The package that a protocol needs besides fsspec, by its name for pip.
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs",
    "hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp", "sftp": "paramiko", "ssh": "paramiko",
    "oci": "ocifs", "webdav": "webdav4", "dav": "webdav4", "smb": "smbprotocol", "oss": "ossfs",
}  # fmt: skip
#: What the packages call a version of a file, the surest first.
_VERSIONS = (
    "ETag", "etag", "generation", "md5Hash", "blob_id", "content_settings", "VersionId", "Content-MD5", "CRC",
    "LastModified", "last_modified", "Last-Modified", "mtime", "updated", "created",
)  # fmt: skip


class RemoteFile(NamedTuple):
    """A file by its URL. `version` changes with its content; "" if its store does not tell any."""

    url: str
    size: int | None
    version: str

    def state(self) -> str:
        """Return URL, size and version as a text that changes with the file; "" if a change can't be seen."""
        return f"{self.url}|{self.size}|{self.version}" if self.version else ""


def connect(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and the path in it. Raises `ConfigError` if a package or the protocol is missing.

    Any: fsspec has no types.
    """
    try:
        from fsspec import available_protocols, registry
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ConfigError(f"{url} needs the package fsspec: {install_hint('remote')}") from error
    named = {part.partition("://")[0] for part in url.split("::") if "://" in part}
    if not named <= {*available_protocols(), *registry}:
        raise InputError(f"{url}: fsspec does not know this protocol")
    try:
        with remote_faults(url):
            file_system, path = url_to_fs(url)
    except ImportError as error:
        name = protocol(url)
        package = _PACKAGES.get(name, "")
        what = (
            f"the package {package}: pip install {package}" if package else f"another package: {one_line(str(error))}"
        )
        raise ConfigError(f"{url}: {name}:// needs {what}") from error
    return file_system, path


def find_files(url: str) -> list[RemoteFile]:
    """Return the file at a URL, or all files below it if it is a folder, sorted by name. Raises `InputError`."""
    file_system, path = connect(url)
    with remote_faults(url):
        file_system.invalidate_cache()
        info = file_system.info(path)
        if info["type"] != "directory":
            return [_file(url, info, _archive_version(url))]
        found = file_system.find(path, detail=True)
    archive = _archive_version(url)
    root = file_system._strip_protocol(path).strip("/")
    names = {name.strip("/").removeprefix(root).strip("/"): each for name, each in found.items()}
    return [
        _file(join_url(url, name), info, archive)
        for name, info in sorted(names.items())
        if name and info["type"] == "file" and not (name.endswith("/") or _leaves(name))
    ]


def find_matches(pattern: str) -> list[str]:
    """Return the URLs that a URL with wildcards matches, sorted. Raises `InputError`, also if there are none."""
    file_system, path = connect(pattern)
    with remote_faults(pattern):
        file_system.invalidate_cache()
        names = sorted(file_system.glob(path))
    if not names:
        raise InputError(f"{pattern}: no file matches")
    rest = "::".join(["", *pattern.split("::")[1:]])
    return [f"{file_system.unstrip_protocol(name)}{rest}" for name in names]


def is_folder(files: list[RemoteFile], url: str) -> bool:
    """Return whether what `find_files` has found at a URL is a folder."""
    return [each.url for each in files] != [url]


def _file(url: str, info: dict[str, Any], archive: str | None) -> RemoteFile:
    version = next((str(info[name]) for name in _VERSIONS if info.get(name)), "")
    if archive is not None:
        version = f"{archive} {version}" if archive else ""
    return RemoteFile(url, info.get("size"), version)


def _archive_version(url: str) -> str | None:
    """Return the version of the archive whose members a URL names; None if it names no members."""
    if "::" not in url:
        return None
    files = find_files(url.partition("::")[2])
    return files[0].version if len(files) == 1 else ""


def _leaves(name: str) -> bool:
    """Return whether a name would lead out of its folder."""
    return ".." in name.split("/")


@contextlib.contextmanager
def remote_faults(url: str, writing: bool = False) -> Iterator[None]:
    """Turn what fsspec and its packages raise into one line that names the URL.

    Raises `ImportError` as it is. When `writing`, what is not about rights and places becomes a `StorageError`, which
    may be tried again; when reading, all are `InputError`.
    """
    try:
        yield
    except (SyphusError, ImportError, FileExistsError):
        raise
    except Exception as error:  # each package has exceptions of its own, and their common base is this one
        problem, is_setting = _problem(error)
        kind = StorageError if writing and not is_setting else InputError
        raise kind(f"{url}: {problem}") from error


def error_code(error: BaseException) -> str:
    """Return the code that a server of S3 gave for an error, such as "AccessDenied"; "" for another error."""
    causes = (error, error.__cause__, error.__context__)
    found = next((each for each in causes if isinstance(getattr(each, "response", None), dict)), None)
    return str(getattr(found, "response", {}).get("Error", {}).get("Code", ""))


def _http_status(error: Exception) -> int | None:
    """Return the status of the reply that an error is about, which each package keeps at another place."""
    response = getattr(error, "response", None)
    places = ((error, "status"), (error, "status_code"), (error, "code"), (response, "status_code"))
    found = (getattr(where, name, None) for where, name in places)
    return next((each for each in found if isinstance(each, int)), None)


def _is_missing_keys(error: Exception) -> bool:
    """Return whether no keys are set; botocore, google-auth and azure-identity have a class with this in its name.

    They share no base, and are not imported for this.
    """
    return any("Credentials" in kind.__name__ for kind in type(error).__mro__)


def _problem(error: Exception) -> tuple[str, bool]:
    """Return what went wrong, and whether the user must change something: rights, names, keys."""
    code, cause = error_code(error), error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and not code:
        is_missing = isinstance(cause, FileNotFoundError) or _http_status(cause) == 404
        error = error if is_missing else cause  # fsspec calls everything that a web server does not give "not found"
    status = _http_status(error)
    said = f" ({one_line(str(error))[:150]})" if str(error) else ""
    if isinstance(error, FileNotFoundError) or status == 404:
        if code in ("NoSuchBucket", "404"):
            return "there is no such bucket or file", True
        return "no such file or folder", True
    if isinstance(error, PermissionError) or code in ("AccessDenied", "403") or status in (401, 403):
        return f"permission denied{said}", True
    if _is_missing_keys(error):
        return f"no keys for this store are set{said}", True
    return f"can't be used: {type(error).__name__}{said}", isinstance(error, ValueError | NotImplementedError)
