"""The build of the static files: minified, named by their content and compressed, once, in the image or by a worker.

    python -m tournament.static_files.build

The files are in `.static/<digest of the sources>`, so an existing build is never stale. A build is made in a temporary
directory and renamed when it is complete, so any number of workers may start at once. A worker reads its files when it
starts, and never again: older builds can be removed at any time.
"""

import atexit
import gzip
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import django
import rcssmin
import rjsmin
import servestatic
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.base import ContentFile
from servestatic.compress import Compressor
from servestatic.storage import CompressedManifestStaticFilesStorage

logger = logging.getLogger(__name__)

# Without comments and whitespace the page is a third smaller.
_MINIFIERS: Final = {".js": rjsmin.jsmin, ".css": rcssmin.cssmin}

_KEPT_BUILDS: Final = 2  # this one, and the previous one, for a rollback
_ABANDONED_S: Final = 3600.0  # no build takes so long: its process was killed


# Every import and export of a module by its relative URL. Django's own patterns require whitespace, which is removed.
_REFERENCES: Final = (
    "*.js",
    (
        (
            r"""(?P<matched>(?P<before>\bfrom\s*|\bimport\s*\(?\s*)(?P<quote>["'`])(?P<url>\.{1,2}/[^"'`]+)(?P=quote))""",
            """%(before)s"%(url)s\"""",
        ),
    ),
)


class HashedFiles(CompressedManifestStaticFilesStorage):
    """Django's manifest storage, with every import of a module rewritten, minified and compressed.

    The default location is that of the build, which is made if it does not exist.
    """

    patterns = (*ManifestStaticFilesStorage.patterns, _REFERENCES)
    max_post_process_passes = 20  # one for each level of imports
    keep_only_hashed_files = True

    def __init__(self, location: str | os.PathLike[str] | None = None) -> None:
        super().__init__(location or build())

    def post_process(self, paths: Mapping[str, Any], **options: Any) -> Iterator[Any]:
        """Minify the files; name, rewrite and compress them.

        Raises:
            ValueError: one of them refers to a missing file.
        """
        for name in paths:
            path = Path(self.path(name))
            if minify := _MINIFIERS.get(path.suffix):
                path.write_text(minify(path.read_text(encoding="utf-8")), encoding="utf-8")
        for name, hashed, processed in super().post_process({name: (self, name) for name in paths}, **options):
            if isinstance(processed, Exception):
                raise processed
            yield name, hashed, processed

    def create_compressor(self, **options: Any) -> Compressor:
        """Return a compressor for gzip alone, which every browser accepts and every Python has."""
        return Compressor(**{**options, "use_brotli": False, "use_zstd": False})

    def add_stats_to_manifest(self) -> None:
        """Add nothing: the files are read once, and never checked on the disk again."""

    def contents(self) -> dict[str, tuple[str, bytes, bytes | None]]:
        """Return, by each file's own name, its hashed name, its content, and the compressed content if that is shorter.

        Raises:
            ValueError: a file is damaged: its content does not match its name.
            OSError: one cannot be read.
        """
        found = {}
        for name, hashed in self.hashed_files.items():
            plain = Path(self.path(hashed)).read_bytes()
            packed = Path(self.path(hashed + ".gz"))
            compressed = packed.read_bytes() if packed.exists() else None
            if f".{self.file_hash(name, ContentFile(plain))}." not in hashed:
                raise ValueError(f"{hashed} is damaged")
            if compressed is not None and gzip.decompress(compressed) != plain:
                raise ValueError(f"{hashed}.gz is damaged")
            found[name] = (hashed, plain, compressed)
        if not found:
            raise ValueError("there are no files")
        return found


def sources() -> dict[str, bytes]:
    """Return the static files of all applications by name, as they are in the repository."""
    found: dict[str, bytes] = {}
    for finder in get_finders():
        for name, storage in finder.list([]):
            found.setdefault(name.replace("\\", "/"), Path(storage.path(name)).read_bytes())
    return found


def build(root: Path | None = None) -> Path:
    """Return the directory of the built files; build them if it does not exist.

    If the file system is read-only or full, it is a temporary directory of this process.

    Raises:
        OSError: the temporary directory cannot be written either.
    """
    files = sources()
    digest = _digest(files)
    root = root or settings.BASE_DIR / ".static"
    target = root / digest
    if _is_whole(target):
        return target
    try:
        root.mkdir(exist_ok=True)
        _build_at(target, files)
        _remove_old(root, target)
    except OSError as error:
        if _is_whole(target):  # another worker was faster
            return target
        temporary = Path(tempfile.mkdtemp(prefix="clock-static-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        logger.warning("the static files cannot be written to %s (%s): building them in %s", root, error, temporary)
        target = temporary / digest
        _build_at(target, files)
    return target


def _digest(files: Mapping[str, bytes]) -> str:
    """Return a digest of everything that a build depends on: the files, and the code and tools that build them."""
    versions = (django.__version__, servestatic.__version__, rjsmin.__version__, rcssmin.__version__)
    digest = hashlib.sha256(repr((versions, settings.STATIC_URL)).encode() + Path(__file__).read_bytes())
    for name, content in sorted(files.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _is_whole(target: Path) -> bool:
    """Return whether a build exists and is complete: a file can be empty after a power failure."""
    try:
        HashedFiles(target).contents()
    except (OSError, ValueError, EOFError, zlib.error):
        return False
    return True


def _build_at(target: Path, files: Mapping[str, bytes]) -> None:
    """Build the files in a directory next to the target, and rename it. A damaged target is replaced."""
    began = time.monotonic()
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        building.chmod(0o755)  # one user may build it, and another serve it
        storage = HashedFiles(building)
        for name, content in files.items():
            storage.save(name, ContentFile(content))
        for _ in storage.post_process(dict.fromkeys(files)):
            pass
        if target.exists() and not _is_whole(target):
            target.rename(building / ".damaged")
            shutil.rmtree(building / ".damaged")
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    logger.info("built the static files in %s within %.1f s", target, time.monotonic() - began)


def _remove_old(root: Path, target: Path) -> None:
    """Remove all builds but the newest ones, and what killed builds have left."""
    builds = []
    for path in root.iterdir():
        age = time.time() - path.stat().st_mtime
        if not path.name.startswith(".building-"):
            builds.append((age, path))
        elif age > _ABANDONED_S:
            shutil.rmtree(path, ignore_errors=True)
    others = [path for _, path in sorted(builds) if path != target]
    for path in others[_KEPT_BUILDS - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    """Build the files, as for the image."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")
    django.setup()
    try:
        print(build())  # noqa: T201 - this is a program for a terminal
    except (OSError, ValueError) as error:
        sys.exit(f"The static files cannot be built: {error}")


if __name__ == "__main__":
    main()
