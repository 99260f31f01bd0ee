"""A wall clock that a test can set under a running program, with libfaketime. All other clocks stay right."""

import shutil
import subprocess
from pathlib import Path

# In an absolute `clock_nanosleep`, libfaketime 0.9.10, which Debian has, fakes CLOCK_MONOTONIC even if it is told not
# to, and then Python's `time.sleep` fails. Later versions do not. This function replaces libfaketime's and calls the
# kernel.
SLEEP = """
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *rest) {
    return syscall(SYS_clock_nanosleep, clock, flags, request, rest) == 0 ? 0 : errno;
}
"""


def find_libfaketime() -> Path | None:
    """Return the path of libfaketime, or None if it is not installed."""
    for folder in (Path("/usr/lib"), Path("/usr/local/lib")):
        for found in folder.glob("**/faketime/libfaketime.so.1"):
            return found
    return None


class WallClock:
    """The wall clock of those programs that start with its `environment`."""

    def __init__(self, directory: Path) -> None:
        library = find_libfaketime()
        compiler = shutil.which("cc")
        assert library, "libfaketime is required: make faults installs it"
        assert compiler, "a C compiler is required: make faults installs it"
        sleep = directory / "sleep.so"
        command = [compiler, "-shared", "-fPIC", "-O2", "-x", "c", "-o", str(sleep), "-"]
        subprocess.run(command, input=SLEEP.encode(), check=True)
        self._file = directory / "walltime"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": f"{sleep}:{library}",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset_s: float) -> None:
        """Set it so many seconds ahead of the machine's clock."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+f}\n")
        new.replace(self._file)
