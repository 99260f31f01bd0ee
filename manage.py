#!/usr/bin/env python
"""Django's command line for this project. Its own command is `python manage.py ticker`."""

import os
import sys

if __name__ == "__main__" and sys.argv[1:2] == ["ticker"]:
    from clock.process.signals import exit_on_signals

    exit_on_signals()  # before the imports, which take a while

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")
    execute_from_command_line(sys.argv)
