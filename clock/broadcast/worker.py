"""The parts of which each worker process has exactly one: its relay, its rate control and its admission."""

from collections import Counter
from functools import cached_property, partial
from typing import Final

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import get_channel_layer
from django.conf import settings

from clock.broadcast.admission import Admission
from clock.broadcast.rate_control import RateControl
from clock.broadcast.relay import Relay
from clock.process.supervisor import Supervisor, end_process

# The channel layer of the replica to subscribe to, if the settings name one.
REPLICA: Final = "replica"

# The name of the rate control's task.
RATE_CONTROL: Final = "rate control"


class Worker:
    """The parts of one worker. Each is created on first use."""

    @cached_property
    def relay(self) -> Relay:
        """The relay. It starts with the server, or with the first request if the server has no ASGI lifespan."""
        source = REPLICA if REPLICA in settings.CHANNEL_LAYERS else DEFAULT_CHANNEL_LAYER
        return Relay(
            partial(get_channel_layer, source), reference=get_channel_layer, supervisor=Supervisor(end_process)
        )

    @cached_property
    def rate_control(self) -> RateControl:
        """The rate control. It starts and stops with the relay."""
        return RateControl(self.relay.fan_out, settings.CLOCK_PAGE_RATE.lowest)

    @cached_property
    def admission(self) -> Admission:
        """The admission. By its first use, the server has raised the limit on open files that it reads."""
        return Admission(settings.CLOCK_MAX_VIEWERS, settings.CLOCK_MAX_VIEWERS_PER_ADDRESS, self.rate_control)

    @cached_property
    def refused(self) -> Counter[str]:
        """How many handshakes were refused, by reason: one of the admission's `REFUSALS`."""
        return Counter()

    def start(self) -> None:
        """Start on the running event loop. Nothing happens if it is running."""
        if not self.relay.is_running:
            self.relay.start()
            self.relay.supervisor.start(RATE_CONTROL, self.rate_control.run)

    async def stop(self) -> None:
        """Stop, and disconnect from Redis."""
        await self.relay.supervisor.stop(RATE_CONTROL)
        await self.relay.stop()


current_worker = Worker()
