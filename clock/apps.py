"""The Django application."""

from django.apps import AppConfig


class ClockConfig(AppConfig):
    """The clock: the page, the WebSocket stream and the HTTP endpoints."""

    name = "clock"
