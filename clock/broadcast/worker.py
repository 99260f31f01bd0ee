"""What a worker process has one of: its relay, and its admission."""

from functools import cached_property

from channels.layers import get_channel_layer
from django.conf import settings

from clock.broadcast.admission import Admission
from clock.broadcast.relay import Relay
from clock.process.supervisor import Supervisor, end_process


class Worker:
    """The parts of one worker, each made when it is first asked for."""

    @cached_property
    def relay(self) -> Relay:
        """The relay. It starts with the server, or with the first request."""
        return Relay(get_channel_layer, supervisor=Supervisor(end_process))

    @cached_property
    def admission(self) -> Admission:
        """The admission. When it is first asked for, the server has raised the limit on open files."""
        return Admission(settings.CLOCK_MAX_VIEWERS, settings.CLOCK_MAX_VIEWERS_PER_ADDRESS)


this_worker = Worker()
