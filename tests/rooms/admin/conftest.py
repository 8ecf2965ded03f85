"""Admins, and their clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import AsyncClient

from rooms.records import room_policy

AdminWith = Callable[..., User]


@pytest.fixture
def admin_with(db: None) -> AdminWith:
    """`admin_with("view_room", ...)` makes an admin with these permissions only."""

    def make(*permissions: str, name: str = "eve") -> User:
        ContentType.objects.clear_cache()
        create_permissions(apps.get_app_config("rooms"), verbosity=0)
        user = User.objects.create_user(name, password="pw", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        return user

    return make


@pytest.fixture
async def admin(async_client: AsyncClient, transactional_db: None) -> AsyncClient:
    """A client of a superuser."""
    user = await User.objects.acreate_superuser("root", "", "pw")
    await async_client.aforce_login(user)
    return async_client


@pytest.fixture(autouse=True)
def nothing_set() -> Iterator[None]:
    """Drop the settings of rooms and Django's cache of content types."""
    ContentType.objects.clear_cache()
    yield
    room_policy.set_overrides({})


@pytest.fixture
def own(running_hub: object) -> None:
    """A hub of this test's own."""


def text_of(answer: Any) -> str:
    """The text of a page that was found."""
    assert answer.status_code == 200, answer
    text: str = answer.content.decode()
    return text
