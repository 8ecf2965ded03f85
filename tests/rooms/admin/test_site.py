"""The overview of the admin, the live view, and the first admin."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from tests.rooms.admin.conftest import AdminWith, text_of

pytestmark = pytest.mark.django_db


def test_the_overview_explains_the_pages(admin_client: Client) -> None:
    text = text_of(admin_client.get("/admin/"))

    for words in ("Live view", "/admin/live/", "A room is listed once", "API keys"):
        assert words in text


def test_the_overview_links_only_what_an_admin_may_view(
    client: Client, admin_with: AdminWith
) -> None:
    client.force_login(admin_with())

    text = text_of(client.get("/admin/"))

    assert 'href="/admin/live/"' not in text


def test_the_live_view_needs_the_permission_to_view_rooms(
    client: Client, admin_with: AdminWith
) -> None:
    client.force_login(admin_with())
    assert client.get("/admin/live/").status_code == 403

    client.force_login(admin_with("view_room", name="bob"))
    text = text_of(client.get("/admin/live/"))
    assert "$beam:live" in text
    # Nothing is loaded from other sites.
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def run() -> tuple[str, str]:
    """The stdout and stderr of `beam_admin`."""
    out, error = StringIO(), StringIO()
    call_command("beam_admin", stdout=out, stderr=error)
    return out.getvalue(), error.getvalue()


def test_the_first_admin_is_created_once(client: Client, settings: Settings) -> None:
    settings.DEBUG = True
    out, _ = run()
    password = out.split()[-1]

    assert client.login(username="admin", password=password)
    assert User.objects.get().is_superuser
    out, error = run()
    assert out == ""
    assert "changepassword" in error
    assert User.objects.count() == 1


def test_an_existing_user_is_not_changed(settings: Settings) -> None:
    settings.DEBUG = True
    User.objects.create_user("admin")

    out, _ = run()

    assert "as admin2 with the password" in out
    assert User.objects.get(username="admin2").is_superuser


def test_passwords_are_not_printed_in_production(settings: Settings) -> None:
    settings.DEBUG = False

    with pytest.raises(CommandError, match="createsuperuser"):
        run()
    assert not User.objects.exists()
