"""The web worker: Daphne for large crowds, with Daphne's own command line.

python -m tournament.server -p 8001 tournament.asgi:application
"""

from clock.process.signals import exit_on_signals

exit_on_signals()  # before the imports, which take a while

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tournament.settings")

from tournament.server.adapter.reactor import install

install()  # Daphne uses the reactor that is installed before it is imported

from tournament.server.command_line import main

main()
