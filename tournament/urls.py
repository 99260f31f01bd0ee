"""Which view answers which address."""

from django.urls import path
from django.views.generic import RedirectView

from clock import views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="clock", query_string=True)),
    path("clock/", views.clock, name="clock"),
    path("clock/now", views.now, name="now"),
    path("healthz", views.healthz, name="healthz"),
]
