"""Sends requests about rooms."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from django.conf import settings as django_settings
from django.test import AsyncClient

SECRET = {"secret": django_settings.API_SECRETS[0]}


async def get(http: AsyncClient, path: str, **query: Any) -> Any:
    """GET with the secret."""
    return await http.get(f"/api/v1/{path}", query, headers=SECRET)


async def post(http: AsyncClient, path: str, body: Any = None) -> Any:
    """POST JSON with the secret."""
    data = json.dumps({} if body is None else body)
    return await http.post(
        f"/api/v1/{path}", data, content_type="application/json", headers=SECRET
    )


def at(room: str, what: str = "") -> str:
    """The path of a room, as `beam.asgi` passes it on."""
    # The test client decodes a path once.
    return f"rooms/{quote(quote(room, safe=''), safe='')}{what}"
