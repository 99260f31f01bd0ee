"""Static files: built once, named by their content, and served from memory."""

import gzip
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from channels.testing import HttpCommunicator
from django.conf import settings as django_settings

from testbed.processes import ROOT, Broker, PlainWorker, Worker
from testbed.workers import copy_tree, from_tree
from tournament.asgi import application
from tournament.static_files import build as static_build
from tournament.static_files.build import HashedFiles, build, sources

HASHED = re.compile(r"(.+)\.[0-9a-f]{12}(\.\w+)")
ENTRY = "/static/clock/clock.js"


async def ask(path: str, method: str = "GET", host: str = "localhost", **headers: str) -> tuple[int, Any, bytes]:
    """Return the status, headers and body of an answer."""
    given = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    encoded = [(name.encode(), value.encode()) for name, value in given.items()]
    answer: Any = await HttpCommunicator(application, method, path, headers=encoded).get_response()
    told = {name.decode().lower(): value.decode() for name, value in answer["headers"]}
    return answer["status"], told, answer["body"]


def built() -> dict[str, tuple[str, bytes, bytes | None]]:
    """Return the files that the workers here serve."""
    return HashedFiles().contents()


@pytest.mark.parametrize("name", ["clock/clock.js", "clock/clock.css", "clock/icon.svg"])
async def test_a_file_with_its_hash_is_immutable(name: str) -> None:
    """It may be kept forever, is sent as it was compressed at the build, and gets 304 if the client has it."""
    hashed, plain, packed = built()[name]
    path = f"/static/{hashed}"
    status, headers, body = await ask(path, accept_encoding="gzip, deflate, br, zstd")
    assert (status, body, headers["content-encoding"]) == (200, packed, "gzip")
    assert headers["content-length"] == str(len(body))
    assert gzip.decompress(body) == plain
    assert headers["cache-control"] == "max-age=31536000, public, immutable"
    assert headers["vary"] == "Accept-Encoding"
    assert headers["x-content-type-options"] == "nosniff"
    assert "content-security-policy" not in headers
    for refused in ("", "br", "gzip;q=0"):
        status, headers, body = await ask(path, accept_encoding=refused)
        assert (status, body, headers.get("content-encoding")) == (200, plain, None)
        assert headers["vary"] == "Accept-Encoding"
    etag = headers["etag"]
    for known in (etag, etag.removeprefix("W/"), f'"x", {etag}', "*"):
        status, headers, body = await ask(path, if_none_match=known)
        assert (status, body, headers["etag"]) == (304, b"", etag)
        assert "immutable" in headers["cache-control"]
    assert (await ask(path, if_none_match='"x"'))[0] == 200


async def test_each_file_has_its_media_type() -> None:
    """Browsers accept a module only with the type of a script."""
    types = {
        name: (await ask(f"/static/clock/{name}"))[1]["content-type"] for name in ("clock.js", "clock.css", "icon.svg")
    }
    assert types == {
        "clock.js": "text/javascript; charset=utf-8",
        "clock.css": "text/css; charset=utf-8",
        "icon.svg": "image/svg+xml",
    }


async def test_an_unknown_hash_gets_the_current_file() -> None:
    """It must not be kept under that name: another worker may have the file with that hash."""
    hashed, plain, _ = built()["clock/clock.js"]
    other = hashed.replace(hashed.split(".")[1], "0123456789ab")
    status, headers, body = await ask(f"/static/{other}")
    assert (status, body) == (200, plain)
    assert headers["cache-control"] == "no-store"


async def test_a_name_without_a_hash_gets_the_current_file() -> None:
    """It may be kept if the client revalidates it each time."""
    _, plain, _ = built()["clock/clock.js"]
    status, headers, body = await ask(ENTRY)
    assert (status, body, headers["cache-control"]) == (200, plain, "no-cache")
    assert (await ask(ENTRY, if_none_match=headers["etag"]))[0] == 304


@pytest.mark.parametrize(
    "path",
    [
        *("/static/", "/static/clock/", "/static/clock/nothing.js", "/static/clock/nothing.0123456789ab.js"),
        *("/static/clock/clock.0123456789a.js", "/static/clock/clock.0123456789AB.js", "/static/staticfiles.json"),
        *(
            "/static/clock/../../manage.py",
            "/static//clock/clock.js",
            "/static/clock/clock.js.gz",
        ),
    ],
)
async def test_an_unknown_path_gets_404(path: str) -> None:
    """So does a path that leaves the directory of static files."""
    assert (await ask(path))[0] == 404


async def test_only_get_and_head_are_allowed() -> None:
    """Other methods get 405, and a Host that is not allowed gets 400."""
    status, headers, body = await ask(ENTRY, "POST")
    assert (status, headers["allow"], body) == (405, "GET, HEAD", b"")
    assert (await ask(ENTRY, host="evil.example"))[0] == 400
    status, headers, body = await ask(ENTRY, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 100


def test_files_are_minified() -> None:
    """Modules and style sheets are served without comments."""
    for name, (_, plain, _) in built().items():
        if name.endswith((".js", ".css")):
            assert 0 < len(plain) < len(sources()[name]), name
            assert not re.search(rb"/\*|//", plain.replace(b"://", b"")), name


def test_every_import_has_a_hash() -> None:
    """A browser would revalidate an import without a hash on every visit. Each imported file exists."""
    contents = built()
    paths = {hashed for hashed, _, _ in contents.values()}
    count = 0
    for name, (hashed, plain, _) in contents.items():
        imported = re.findall(rb"""(?:\bfrom|\bimport)\s*\(?\s*["'`]([^"'`]+)["'`]""", plain)
        assert {str(Path(hashed).parent / one.decode()) for one in imported} <= paths, name
        count += len(imported)
    assert count > 20


def test_all_kinds_of_references_are_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """These are imports of all forms, re-exports, and the files that a style sheet names."""
    made = {
        "a/leaf.js": b"export const leaf = 1, other = 2;\n",
        "a/icon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "a/base.css": b"p { color: red }\n",
        "a/style.css": b'@import "base.css";\nbody { background: url(icon.svg) }\nhr { mask: url("./icon.svg#x") }\n',
        "a/main.js": b"""
// import { gone } from "./gone.js";
import "./leaf.js";
import { leaf } from "./leaf.js";
import {
  leaf as again,
  other,
} from './leaf.js';
import * as all from "./leaf.js";
export { leaf as exported } from "./leaf.js";
export * from "./leaf.js";
const later = async () => [await import("./leaf.js"), await import( `./leaf.js` )];
const text = "./leaf.js";
""",
    }
    monkeypatch.setattr(static_build, "sources", lambda: made)
    contents = HashedFiles(build(tmp_path)).contents()
    leaf, icon, base = (Path(contents[f"a/{name}"][0]).name for name in ("leaf.js", "icon.svg", "base.css"))
    main, style = contents["a/main.js"][1].decode(), contents["a/style.css"][1].decode()
    assert main.count(leaf) == 8
    assert main.count("./leaf.js") == main.count('text="./leaf.js"') == 1
    assert "gone" not in main
    assert style.count(icon) == 2
    assert base in style


def test_a_reference_to_a_missing_file_fails_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file, and no file of the build is left."""
    monkeypatch.setattr(static_build, "sources", lambda: {"a.js": b'import "./b.js";\n'})
    with pytest.raises(ValueError, match=r"b\.js"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Two files instead of all, which are built quickly; each is long enough to be compressed."""
    files = {"clock/clock.js": b"export const one = 1;\n" * 20, "clock/clock.css": b"p { color: red }\n" * 20}
    monkeypatch.setattr(static_build, "sources", lambda: files)
    return files


def test_an_existing_build_is_used(tmp_path: Path, few: dict[str, bytes]) -> None:
    """Changed sources are built in another directory; the previous build is kept, and no others."""
    first = build(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(static_build, "_build_at", None)
        assert build(tmp_path) == first
    targets = [first]
    for number in range(3):
        few["clock/clock.css"] += b"p { order: %d }" % number
        targets.append(build(tmp_path))
        for age, target in enumerate(reversed(targets), 1):
            if target.exists():
                os.utime(target, (time.time() - age, time.time() - age))
    assert len(set(targets)) == 4
    assert sorted(tmp_path.iterdir()) == sorted(targets[-2:])


def test_a_damaged_build_is_replaced(tmp_path: Path, few: dict[str, bytes]) -> None:
    """A file is empty, as after a power failure, or missing."""
    target = build(tmp_path)
    good = HashedFiles(target).contents()
    for damage in ("clock/*.js", "clock/*.gz", "staticfiles.json", "clock/*.css"):
        next(target.glob(damage)).write_bytes(b"")
        assert build(tmp_path) == target
        assert HashedFiles(target).contents() == good
    next(target.glob("clock/*.js")).unlink()
    assert build(tmp_path) == target
    assert HashedFiles(target).contents() == good
    assert list(tmp_path.iterdir()) == [target]


def test_an_abandoned_build_is_removed(tmp_path: Path, few: dict[str, bytes]) -> None:
    """It is removed after an hour: before, a worker may still be building there."""
    old, fresh = tmp_path / ".building-old", tmp_path / ".building-fresh"
    for path in (old, fresh):
        path.mkdir()
    os.utime(old, (0, 0))
    build(tmp_path)
    assert (old.exists(), fresh.exists()) == (False, True)


def test_a_read_only_file_system(tmp_path: Path, few: dict[str, bytes], caplog: pytest.LogCaptureFixture) -> None:
    """The files are built in a temporary directory, which only this user can read, and that is logged."""
    (tmp_path / "file").touch()
    target = build(tmp_path / "file" / ".static")
    assert HashedFiles(target).contents().keys() == few.keys()
    assert target.parent.stat().st_mode & 0o077 == 0
    assert "cannot be written" in caplog.text
    shutil.rmtree(target.parent)


@pytest.mark.soak
def test_workers_that_start_at_once_share_one_build(tmp_path: Path) -> None:
    """Each builds for itself, the first one to finish keeps its build, and the others use it."""
    tree = copy_tree(tmp_path / "tree")
    environment = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "tournament.static_files.build"]
    many = [
        subprocess.Popen(
            command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    outputs = {process.communicate(timeout=60)[0] for process in many}
    assert {process.returncode for process in many} == {0}
    assert len(outputs) == 1
    assert [path.name for path in (tree / ".static").iterdir()] == [Path(outputs.pop().strip()).name]


def test_a_command_that_serves_nothing_builds_nothing() -> None:
    """The ticker is such a command."""
    code = "import sys, manage; from django.core.management import call_command as call; import django; django.setup();"
    code += "call('check'); sys.exit('tournament.static_files.build' in sys.modules)"
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "tournament.settings"}
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=False).returncode == 0


def test_any_server_builds_the_files(broker: Broker, tmp_path: Path, directory: Path) -> None:
    """So does plain Daphne in a new tree: its page links to hashed files, and it serves them."""
    tree = copy_tree(tmp_path / "tree")
    with from_tree(PlainWorker(broker.url, directory), tree) as worker:
        links = re.findall(r'/static/[^"]+', worker.get("/clock/")[1])
        assert len(links) == 4
        assert all(HASHED.fullmatch(link) and worker.get(link)[0] == 200 for link in links)
        assert "Traceback" not in worker.output()


def test_the_sources_are_served_for_development(broker: Broker, tmp_path: Path, directory: Path) -> None:
    """With DJANGO_DEBUG a change of a file is served at once, under its own name, and nothing is built."""
    tree = copy_tree(tmp_path / "tree")
    style = tree / "clock/static/clock/clock.css"
    template = tree / "clock/templates/clock/clock.html"
    with from_tree(Worker(broker.url, directory, DJANGO_DEBUG="on"), tree) as worker:
        assert "/static/clock/clock.css" in worker.get("/clock/")[1]
        assert worker.get("/static/clock/clock.css") == (200, style.read_text())
        style.write_text("/* changed */")
        assert worker.get("/static/clock/clock.css") == (200, "/* changed */")
        template.write_text(template.read_text().replace("<main", "<main class=new"))
        assert "<main class=new" in worker.get("/clock/")[1]
        assert worker.get("/static/clock/nothing.css")[0] == 404
    assert not (tree / ".static").exists()


def test_the_builds_are_in_no_image_and_no_commit() -> None:
    """Their directory is ignored by Git and Docker."""
    assert build().parent == django_settings.BASE_DIR / ".static"
    assert "/.static/" in (ROOT / ".gitignore").read_text()
    assert (ROOT / ".dockerignore").read_text().startswith("*\n")
