"""The Django application."""

from django.apps import AppConfig


class ClockConfig(AppConfig):
    """The clock: its page, its stream and what programs may ask."""

    name = "clock"
