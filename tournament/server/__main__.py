"""The web worker: Daphne for large crowds, with Daphne's own command line; or several of them on one port.

python -m tournament.server -p 8001 tournament.asgi:application
"""

from clock.process.signals import exit_on_signals

exit_on_signals()  # before the imports, which take a while

import os
import sys

from tournament.processes.command_line import read_mode, run

mode = read_mode(sys.argv[1:])
if mode.is_supervisor:
    sys.exit(run(mode))

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")

from tournament.server.adapter.reactor import install

install()  # Daphne uses the reactor that is installed before it is imported

from tournament.server.command_line import main

main(mode.link)
