"""The application, which holds the one relay of this process."""

from channels.layers import get_channel_layer
from django.apps import AppConfig, apps

from clock.relay import Relay


class ClockConfig(AppConfig):
    """The clock's side of the web worker."""

    name = "clock"
    relay: Relay

    def ready(self) -> None:
        """Make this process's relay; it starts with the server, or with the first request."""
        self.relay = Relay(get_channel_layer)


def worker_relay() -> Relay:
    """Return this worker's relay, started on the running event loop."""
    config = apps.get_app_config("clock")
    assert isinstance(config, ClockConfig)
    config.relay.start()
    return config.relay
