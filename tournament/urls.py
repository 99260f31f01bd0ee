"""The paths of Django's views. Those of the stream and of the endpoints for programs are in asgi.py."""

from django.urls import path
from django.views.generic import RedirectView

from clock import views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="clock", query_string=True)),
    path("clock/", views.clock, name="clock"),
    path("clock/embed", views.embed, name="embed"),
]
