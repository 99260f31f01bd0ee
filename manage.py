#!/usr/bin/env python
"""Django's command line for this project. Its own commands are `ticker` and `watch`."""

import os
import signal
import sys

if __name__ == "__main__" and sys.argv[1:2] == ["ticker"]:
    from clock.process.signals import exit_on_signals

    exit_on_signals()  # before the imports, which take a while

if __name__ == "__main__" and sys.argv[1:2] == ["watch"]:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends it, without a traceback

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")
    execute_from_command_line(sys.argv)
