"""Owns Django admin as an app, with Beam's own site."""

from django.contrib.admin.apps import AdminConfig


class BeamAdminConfig(AdminConfig):
    """Django admin, with the live view."""

    default_site = "rooms.site.BeamAdminSite"
