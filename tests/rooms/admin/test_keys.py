"""API keys in Django admin: created and shown once, revoked, never changed."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from rooms.auth import api_keys
from rooms.models import ApiKey
from tests.rooms.admin.conftest import AdminWith, text_of

LIST = "/admin/rooms/apikey/"

pytestmark = pytest.mark.django_db


def made(admin_client: Client, name: str = "billing") -> str:
    """Create a key on the page."""
    form = {"name": name, "scopes": ["events:write", "rooms:read"]}
    text = text_of(admin_client.post(f"{LIST}add/", form))
    found = re.search(r'id="beam-key">(beam_[\w-]{43})<', text)
    assert found is not None
    return found[1]


def test_a_key_is_shown_once_and_works(admin_client: Client) -> None:
    key = made(admin_client)

    row = ApiKey.objects.get()
    assert api_keys._active_keys()[api_keys._hash(key)].scopes == {
        "events:write",
        "rooms:read",
    }
    for url in (LIST, f"{LIST}{row.pk}/change/"):
        text = text_of(admin_client.get(url))
        assert "billing" in text
        assert "events:write, rooms:read" in text
        assert key not in text
        assert row.hashed not in text
    assert LogEntry.objects.get().object_repr == "billing"


def test_the_page_with_a_key_is_not_cached(admin_client: Client) -> None:
    form = {"name": "one", "scopes": ["rooms:read"]}

    answer = admin_client.post(f"{LIST}add/", form)

    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    "form",
    [
        {"name": "", "scopes": ["rooms:read"]},
        {"name": "new", "scopes": []},
        {"name": "new", "scopes": ["everything"]},
        {"name": "billing", "scopes": ["rooms:read"]},
    ],
)
def test_an_invalid_key_is_refused(
    admin_client: Client, form: dict[str, object]
) -> None:
    made(admin_client)

    text = text_of(admin_client.post(f"{LIST}add/", form))

    assert "errorlist" in text
    assert ApiKey.objects.count() == 1


def test_keys_are_revoked(admin_client: Client) -> None:
    key = made(admin_client)
    made(admin_client, "other")
    row = ApiKey.objects.get(name="billing")

    assert 'value="Revoke"' in text_of(admin_client.get(f"{LIST}{row.pk}/change/"))
    form = {"action": "revoke", "_selected_action": [str(row.pk)]}
    text = text_of(admin_client.post(LIST, form))
    assert "Revoke 1 API key?" in text
    assert "never used" in text
    assert len(api_keys._active_keys()) == 2
    text = text_of(admin_client.post(LIST, form | {"confirmed": "1"}, follow=True))

    assert "Revoked 1 API key." in text
    assert "revoked 20" in text
    assert api_keys._hash(key) not in api_keys._active_keys()
    assert len(api_keys._active_keys()) == 1


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"active", "old"}),
        ("?state=active", {"active"}),
        ("?state=revoked", {"old"}),
    ],
)
def test_keys_are_filtered_by_state(
    admin_client: Client, query: str, names: set[str]
) -> None:
    made(admin_client, "active")
    made(admin_client, "old")
    api_keys.revoke("old")

    text = text_of(admin_client.get(LIST + query))

    assert {name for name in ("active", "old") if f">{name}</a>" in text} == names
    assert "never" in text


def test_the_form_of_a_new_key_leads_to_the_page_with_the_key(
    admin_client: Client,
) -> None:
    text = text_of(admin_client.get(f"{LIST}add/"))

    assert 'name="_save"' in text
    assert "_addanother" not in text
    assert "_continue" not in text


def test_keys_cannot_be_changed_or_deleted(admin_client: Client) -> None:
    key = made(admin_client)
    row = ApiKey.objects.get()

    url = f"{LIST}{row.pk}/change/"
    assert 'name="_save"' not in text_of(admin_client.get(url))
    form = {"name": "x", "scopes": ["rooms:read"]}
    assert admin_client.post(url, form).status_code == 403
    answer = admin_client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"})

    assert answer.status_code == 403
    assert ApiKey.objects.get().name == "billing"
    assert api_keys._hash(key) in api_keys._active_keys()


def test_an_admin_that_can_only_view_keys_cannot_create_one(
    client: Client, admin_with: AdminWith
) -> None:
    client.force_login(admin_with("view_apikey"))

    assert "API keys" in text_of(client.get(LIST))
    assert client.get(f"{LIST}add/").status_code == 403
