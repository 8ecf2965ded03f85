"""The command `beam_key`."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from rooms.auth import api_keys
from rooms.models import ApiKey

pytestmark = [
    pytest.mark.usefixtures("running_hub", "fresh_keyring"),
    pytest.mark.django_db(transaction=True),
]


def run(*args: str) -> tuple[str, str]:
    """What the command wrote to stdout and to stderr."""
    out, error = StringIO(), StringIO()
    call_command("beam_key", *args, stdout=out, stderr=error)
    return out.getvalue(), error.getvalue()


def test_the_command_prints_a_key_once() -> None:
    out, said = run("create", "backend", "--scopes", "events:write, rooms:read")

    [key] = out.splitlines()
    found = ApiKey.objects.get(name="backend")
    assert found.scopes == ["events:write", "rooms:read"]
    assert api_keys._hash(key) == found.hashed
    assert "not shown again" in said


def test_the_command_lists_and_revokes() -> None:
    run("create", "backend")
    listed, _ = run("list")
    assert listed.split("\t")[:2] == ["backend", "active"]
    assert listed.split("\t")[2] == "events:write,metrics:read,rooms:manage,rooms:read"

    _, said = run("revoke", "backend")

    assert "Revoked" in said
    assert run("list")[0].split("\t")[:2] == ["backend", "revoked"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("create", "taken"), "exists or existed"),
        (("create", "new", "--scopes", "everything"), "unknown scope: everything"),
        (("create", "new", "--scopes", ","), "an API key needs at least one scope"),
        (("create", " "), "name of a key must not be empty"),
        (("revoke", "unknown"), "no active key 'unknown'"),
    ],
)
def test_the_command_reports_invalid_arguments(
    args: tuple[str, ...], says: str
) -> None:
    run("create", "taken")

    with pytest.raises(CommandError, match=says):
        run(*args)
