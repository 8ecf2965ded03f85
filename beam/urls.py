"""HTTP routes of the project."""

from django.contrib import admin
from django.urls import include, path

from rooms.api.plain_errors import not_found

handler404 = not_found

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("rooms.urls")),
]
