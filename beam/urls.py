"""Owns the HTTP routes of the project."""

from django.urls import include, path

from rooms import api

handler404 = api.not_found

urlpatterns = [path("", include("rooms.urls"))]
