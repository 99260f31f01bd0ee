"""The application, which holds the one relay and the one admission of this process."""

from functools import cached_property

from channels.layers import get_channel_layer
from django.apps import AppConfig, apps
from django.conf import settings

from clock.admission import Admission
from clock.relay import Relay
from clock.tasks import Supervisor, end_process


class ClockConfig(AppConfig):
    """The clock's side of the web worker."""

    name = "clock"
    relay: Relay

    def ready(self) -> None:
        """Make this process's relay; it starts with the server, or with the first request."""
        self.relay = Relay(get_channel_layer, supervisor=Supervisor(end_process))

    @cached_property
    def admission(self) -> Admission:
        """Return this process's admission, made when first asked for: by then the limit on open files is raised."""
        return Admission(settings.CLOCK_MAX_VIEWERS, settings.CLOCK_MAX_VIEWERS_PER_ADDRESS)


def worker_relay() -> Relay:
    """Return this worker's relay, whether it was started or not."""
    return _config().relay


def start_relay() -> None:
    """Start this worker's relay on the running event loop; nothing happens if it was started already."""
    _config().relay.start()


def worker_admission() -> Admission:
    """Return this worker's admission."""
    return _config().admission


def _config() -> ClockConfig:
    config = apps.get_app_config("clock")
    assert isinstance(config, ClockConfig)
    return config
