"""The admin's front page, the live view, and the first admin."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from tests.rooms.admin.conftest import AdminWith, text_of

pytestmark = pytest.mark.django_db


def test_the_front_page_explains_itself(admin_client: Client) -> None:
    text = text_of(admin_client.get("/admin/"))

    for words in ("Live view", "/admin/live/", "A room is listed once", "API keys"):
        assert words in text


def test_the_front_page_offers_what_somebody_may_see(
    client: Client, admin_with: AdminWith
) -> None:
    client.force_login(admin_with())

    text = text_of(client.get("/admin/"))

    assert 'href="/admin/live/"' not in text


def test_the_live_view_is_for_those_who_may_view_rooms(
    client: Client, admin_with: AdminWith
) -> None:
    client.force_login(admin_with())
    assert client.get("/admin/live/").status_code == 403

    client.force_login(admin_with("view_room", name="bob"))
    text = text_of(client.get("/admin/live/"))
    assert "$beam:live" in text
    # Nothing comes from elsewhere.
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def run() -> tuple[str, str]:
    """What the command printed, and what it said beside."""
    out, error = StringIO(), StringIO()
    call_command("beam_admin", stdout=out, stderr=error)
    return out.getvalue(), error.getvalue()


def test_the_first_admin_is_made_once(client: Client, settings: Settings) -> None:
    settings.DEBUG = True
    out, _ = run()
    password = out.split()[-1]

    assert client.login(username="admin", password=password)
    assert User.objects.get().is_superuser
    out, said = run()
    assert out == ""
    assert "changepassword" in said
    assert User.objects.count() == 1


def test_a_name_that_is_taken_is_left_alone(settings: Settings) -> None:
    settings.DEBUG = True
    User.objects.create_user("admin")

    told, _ = run()

    assert "as admin2 with the password" in told
    assert User.objects.get(username="admin2").is_superuser


def test_in_production_passwords_are_not_printed(settings: Settings) -> None:
    settings.DEBUG = False

    with pytest.raises(CommandError, match="createsuperuser"):
        run()
    assert not User.objects.exists()
