"""API keys in tests: create, revoke and use them."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.test import AsyncClient

from rooms.auth import api_keys

create = sync_to_async(api_keys.create)
revoke = sync_to_async(api_keys.revoke)


def bearer(key: str) -> dict[str, str]:
    """The header with a key."""
    return {"Authorization": f"Bearer {key}"}


async def get(http: AsyncClient, key: str, path: str = "rooms") -> Any:
    """GET with a key."""
    return await http.get(f"/api/v1/{path}", headers=bearer(key))
