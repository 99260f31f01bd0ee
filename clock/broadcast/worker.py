"""The parts of which each worker process has exactly one: its relay and its admission."""

from functools import cached_property

from channels.layers import get_channel_layer
from django.conf import settings

from clock.broadcast.admission import Admission
from clock.broadcast.relay import Relay
from clock.process.supervisor import Supervisor, end_process


class Worker:
    """The parts of one worker. Each is created on first use."""

    @cached_property
    def relay(self) -> Relay:
        """The relay. It starts with the server, or with the first request if the server has no ASGI lifespan."""
        return Relay(get_channel_layer, supervisor=Supervisor(end_process))

    @cached_property
    def admission(self) -> Admission:
        """The admission. By its first use, the server has raised the limit on open files that it reads."""
        return Admission(settings.CLOCK_MAX_VIEWERS, settings.CLOCK_MAX_VIEWERS_PER_ADDRESS)


current_worker = Worker()
