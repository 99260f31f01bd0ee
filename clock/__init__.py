"""The Django application: the clock's page, its stream of ticks, and what programs may ask."""

from typing import Final

# The only place of the version: the metrics, the first log line, `--version` and pyproject.toml take it from here.
__version__: Final = "1.2.0"
