"""The static files, served from memory. Django's request cycle would cost several times as much.

A file can be requested by three kinds of names:

- with the hash of its content, as the page and the modules link to it: browsers keep it, and never request it again;
- with another hash, as a page of another version does during a rolling upgrade: it gets the file of this version, and
  must not keep it;
- without a hash, for people and programs: a client that keeps it revalidates it each time.

With `DJANGO_DEBUG` there are no hashes, and each file is its source at that moment.
"""

import functools
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.utils.http import parse_etags
from servestatic.media_types import MediaTypes
from servestatic.utils import parse_accept_encoding

from clock.asgi import Application
from clock.endpoints.access import ALLOW_HEADER, refusal_status
from clock.endpoints.routers import path_below_root
from tournament.static_files.build import HashedFiles, sources

_HASHED: Final = re.compile(r"(.+)\.[0-9a-f]{12}(\.[^./]+)")
_MEDIA_TYPES: Final = MediaTypes()

# A year, in seconds: in practice forever.
_IMMUTABLE: Final = b"max-age=31536000, public, immutable"
_REVALIDATED: Final = b"no-cache"
_NOT_KEPT: Final = b"no-store"

# No Referrer-Policy: what these files load is from the same origin, and a page loads two dozen of them.
_SAFETY: Final = [(b"x-content-type-options", b"nosniff")]

# All browsers of one kind send the same header.
_accepted = functools.lru_cache(maxsize=64)(parse_accept_encoding)


class File(NamedTuple):
    """One file as it is served."""

    media_type: bytes
    plain: bytes
    packed: bytes | None  # by gzip, if that is shorter
    etag: bytes  # weak, because both have the same


class _Found(NamedTuple):
    file: File
    cache_control: bytes


class StaticFiles:
    """An ASGI application that answers requests below `STATIC_URL`, and passes all others to `otherwise`."""

    def __init__(self, otherwise: Application) -> None:
        self._otherwise = otherwise
        self._prefix = settings.STATIC_URL
        # By the names of their sources, and by the names with hashes.
        self._files, self._hashed = ({}, {}) if settings.DEBUG else _built_files()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        path = path_below_root(scope)
        if not path.startswith(self._prefix):
            await self._otherwise(scope, receive, send)
            return
        status, headers, body = _answer(scope, self._find(path.removeprefix(self._prefix)))
        await send({"type": "http.response.start", "status": int(status), "headers": [*headers, *_SAFETY]})
        await send({"type": "http.response.body", "body": body})

    def _find(self, name: str) -> _Found | None:
        """Return a file and its Cache-Control; None if there is no such file."""
        if file := self._hashed.get(name):
            return _Found(file, _IMMUTABLE)
        files = _source_files() if settings.DEBUG else self._files
        if file := files.get(name):
            return _Found(file, _REVALIDATED)
        match = _HASHED.fullmatch(name)
        if match and (file := files.get(match[1] + match[2])):
            return _Found(file, _NOT_KEPT)
        return None


def _built_files() -> tuple[dict[str, File], dict[str, File]]:
    """Return the built files by the names of their sources, and by the names with hashes."""
    storage = staticfiles_storage
    assert isinstance(storage, HashedFiles)
    files, hashed = {}, {}
    for name, (hashed_name, plain, packed) in storage.contents().items():
        etag = b'W/"%s"' % hashed_name.split(".")[-2].encode()
        files[name] = hashed[hashed_name] = File(_media_type(name), plain, packed, etag)
    return files, hashed


def _source_files() -> Mapping[str, File]:
    return {name: File(_media_type(name), content, None, b"") for name, content in sources().items()}


def _media_type(name: str) -> bytes:
    media_type = _MEDIA_TYPES.get_type(name)
    return f"{media_type}; charset=utf-8".encode() if media_type.startswith("text/") else media_type.encode()


def _answer(scope: Any, found: _Found | None) -> tuple[HTTPStatus, list[tuple[bytes, bytes]], bytes]:
    """Return the status, headers and body of the answer to one request."""
    if refused := refusal_status(scope):
        more = [ALLOW_HEADER] if refused == HTTPStatus.METHOD_NOT_ALLOWED else []
        return refused, [*more, (b"content-length", b"0")], b""
    if found is None:
        return HTTPStatus.NOT_FOUND, [(b"cache-control", _NOT_KEPT), (b"content-length", b"0")], b""
    file, given = found.file, dict(scope["headers"])
    headers = [(b"cache-control", found.cache_control)]
    if file.etag:
        headers.append((b"etag", file.etag))
    if file.packed is not None:
        headers.append((b"vary", b"Accept-Encoding"))
    if file.etag and _is_known(file.etag.decode(), given.get(b"if-none-match", b"").decode("latin-1")):
        return HTTPStatus.NOT_MODIFIED, headers, b""
    body = file.plain
    if file.packed is not None and "gzip" in _accepted(given.get(b"accept-encoding", b"").decode("latin-1")):
        body = file.packed
        headers.append((b"content-encoding", b"gzip"))
    headers += [(b"content-type", file.media_type), (b"content-length", b"%d" % len(body))]
    return HTTPStatus.OK, headers, b"" if scope["method"] == "HEAD" else body


def _is_known(etag: str, if_none_match: str) -> bool:
    """Return whether a client has the file already. Proxies that compress weaken an ETag, so `W/` is ignored."""
    known = parse_etags(if_none_match)
    return known == ["*"] or etag.removeprefix("W/") in {one.removeprefix("W/") for one in known}
