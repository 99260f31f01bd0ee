"""Page loads: after a release every open page loads again, with all of its files, while streams go on."""

import http.client
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final
from urllib.parse import urljoin

from bench.scenarios.steady import AUTO, PARALLEL, SETTLE_S
from bench.subjects.catalogue import SUBJECTS
from bench.trial.figures import WORKER
from bench.trial.sample import Turn
from bench.trial.scenario import TakeTurn
from bench.trial.side import Side, Stage

STREAMS: Final = 400
PAGES: Final = 400
CONNECTIONS: Final = 6  # of a browser to one host, with HTTP/1.1
PAUSE_S: Final = 1.0

PAGE: Final = "/clock/"

# What a page and its files refer to, of what a browser loads: links and scripts, imported modules.
REFERENCE: Final = re.compile(
    r"""<(?:link|script)[^>]*?\b(?:href|src)="([^"]+)"|\b(?:from|import)\s*["'](\.[^"']+)["']"""
)


@contextmanager
def page_loads(stage: Stage) -> Iterator[TakeTurn]:
    """400 pages load while 400 streams go on."""
    with Side(SUBJECTS[WORKER], stage) as side:
        files = files_of_page(side.port)
        side.connect(STREAMS, AUTO, parallel=PARALLEL)
        stage.wait(SETTLE_S)

        def take_turn() -> Turn:
            side.begin()
            loaded = side.load_pages(files, PAGES, CONNECTIONS)
            side.stop()
            sample = side.collect()
            stage.wait(PAUSE_S)
            for reason, count in loaded.failures.items():
                sample.window.failures[f"a page: {reason}"] = count
            sample.values.update(seconds=loaded.seconds, files=len(files), mib=loaded.bytes / (1 << 20))
            return {WORKER: sample}

        yield take_turn


def files_of_page(port: int) -> list[str]:
    """Return the paths that a browser requests to show the page, from the server on this port. The page comes first."""
    found = [PAGE]
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for path in found:  # it grows meanwhile
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == http.HTTPStatus.OK, f"{path}: {answer.status}"
            found += [one for one in references(text, path) if one not in found]
    return found


def references(text: str, path: str) -> list[str]:
    """Return the paths that a file refers to, each once."""
    names = [link or module for link, module in REFERENCE.findall(text)]
    return list(
        dict.fromkeys(urljoin(path, name) for name in names if not name.startswith(("http:", "https:", "data:")))
    )
