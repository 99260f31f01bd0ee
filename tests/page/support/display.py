"""A display that nobody sees, for browsers that need windows."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def display() -> Iterator[str]:
    """Run Xvfb; return the display's name, for the variable DISPLAY."""
    xvfb = shutil.which("Xvfb")
    assert xvfb, "Xvfb is missing. On Debian: apt-get install xvfb"
    reading, writing = os.pipe()
    program = subprocess.Popen(
        [xvfb, "-displayfd", str(writing), "-nolisten", "tcp"], pass_fds=[writing], stderr=subprocess.DEVNULL
    )
    try:
        yield f":{os.read(reading, 10).decode().strip()}"
    finally:
        program.terminate()
        program.wait()
        os.close(reading)
        os.close(writing)
