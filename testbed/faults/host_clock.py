"""A ticker whose host's clock is synchronised, or not, as a file says: the real command otherwise.

python -m testbed.faults.host_clock FILE
"""

import sys
from pathlib import Path

from django.core.management import execute_from_command_line

from ticker import host_clock

if __name__ == "__main__":
    state = Path(sys.argv[1])
    host_clock.HostClock.__init__.__defaults__ = (lambda: state.read_text() == "synchronised",)
    execute_from_command_line(["manage.py", "ticker"])
