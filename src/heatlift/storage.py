"""Object storage by fsspec: addresses such as ``s3://bucket/folder``, and the files below one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec

from heatlift.errors import HeatliftError, first_line

SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)

EXTRAS: Mapping[str, str] = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
"""Schemes for which there is an extra that installs what they need."""

LARGEST = 2**30
"""Bytes of a file that is read whole into the memory."""

MARKS = ("ETag", "etag", "md5Hash", "crc32c", "checksum", "mtime", "created", "LastModified", "last_modified")
"""What storages tell of a file that changes with its content, the surest first."""


def local_or_url(place: str | Path) -> str | Path:
    """The path that is meant, ``file://`` taken off; or the address, without a slash at its end."""
    text = str(place)
    if text.lower().startswith("file://"):
        return Path(unquote(text[len("file://") :]))
    scheme = SCHEME.match(text)
    if scheme is None:
        return Path(place)
    return text.rstrip("/") if text[scheme.end() :].strip("/") else text


def whole_address(place: str | Path) -> str:
    """What leads to a place from everywhere: its whole path, or its address."""
    found = local_or_url(place)
    return str(found.resolve()) if isinstance(found, Path) else found


@dataclass(frozen=True)
class StoredFile:
    """A file in object storage.

    Attributes:
        url: where it is.
        size: in bytes; None where there is no such file.
        mark: changes with its content, as the storage says.
    """

    url: str
    size: int | None
    mark: str

    def __str__(self) -> str:
        return self.url

    def read(self) -> bytes:
        """All of it.

        Raises:
            FileNotFoundError: it is gone.
            PermissionError: it alone is closed to us.
            HeatliftError: it can't be had now, which says nothing of what is in it.
        """
        files, path = opened(self.url)
        with speaking("read", self.url):
            try:
                content: bytes = files.cat_file(path)
            except PermissionError as error:
                # With credentials that are no longer good it could not be listed either.
                files.invalidate_cache()
                files.find(path)
                raise Closed from error
            return content


class Closed(PermissionError):
    """A file that may not be read, though its neighbours may be."""


def opened(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path of the address within it.

    Raises:
        HeatliftError: nothing is known of such addresses, or what they need is not installed.
    """
    scheme = SCHEME.match(url)
    assert scheme is not None
    try:
        # The system is looked up for every file, its client is the same.
        files = _file_system(scheme[1].lower())
        path: str = files._strip_protocol(url)
    except ImportError as error:
        extra = EXTRAS.get(scheme[1].lower())
        how = f"pip install 'heatlift[{extra}]'" if extra else first_line(error)
        raise HeatliftError(f"{url} needs a package that is not installed: {how}") from error
    except Exception as error:  # of systems that want more than an address, whatever they raise without it
        raise HeatliftError(f"{url}: {first_line(error)}; give a path, s3://... or gs://...") from error
    if not path:
        raise HeatliftError(f"{url} names nothing: give a bucket, such as s3://bucket/folder")
    return files, path


@lru_cache
def _file_system(scheme: str) -> Any:
    return fsspec.filesystem(scheme)


@contextmanager
def speaking(doing: str, url: str, *but: type[Exception]) -> Iterator[None]:
    """Turn whatever a storage's client raises into one line.

    Args:
        doing: what is being done, such as ``read``.
        url: to what.
        but: errors that are raised as they are, beside `FileNotFoundError` and `Closed`.

    Raises:
        HeatliftError: anything else.
    """
    as_they_are: tuple[type[Exception], ...] = (FileNotFoundError, Closed, HeatliftError, *but)
    try:
        yield
    except as_they_are:
        raise
    except Exception as error:  # each client has errors of its own, of no common kind
        raise HeatliftError(f"can't {doing} {url}: {first_line(error)}") from error


def below(url: str, hidden: bool = False) -> dict[str, StoredFile]:
    """The files below an address by their paths from there, with ``/``, sorted.

    Hidden ones, whose names or folders begin with a dot, are left out unless asked for.

    Raises:
        HeatliftError: it can't be listed.
    """
    files, root = opened(url)
    with speaking("list", url):
        files.invalidate_cache()
        try:
            found: Mapping[str, Mapping[str, Any]] = files.find(root, detail=True)
        except FileNotFoundError:
            found = {}
    base = root.rstrip("/") + "/"
    there = {}
    for path, info in sorted(found.items()):
        relative = path.removeprefix(base)
        # What is named like a folder marks one in some storages.
        named = path.startswith(base) and relative and not relative.endswith("/")
        if named and (hidden or not _hidden(relative)):
            there[relative] = StoredFile(f"{url}/{relative}", info.get("size"), _mark(info))
    return there


def _hidden(relative: str) -> bool:
    return any(part.startswith(".") for part in relative.split("/"))


def _mark(info: Mapping[str, Any]) -> str:
    return next((str(info[key]) for key in MARKS if info.get(key) is not None), "")
