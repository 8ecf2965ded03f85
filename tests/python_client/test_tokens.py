"""Tokens that the client signs."""

from __future__ import annotations

from beam_client import (
    mint_room,
    mint_user,
)
from django.conf import settings as django_settings

from rooms.auth import grants, verifier


async def test_minted_tokens_are_valid() -> None:
    secret = django_settings.TOKEN_SECRETS[0]
    ada = grants.Identity("ada")

    assert await verifier.identify(mint_user("ada", secret=secret)) == ada
    token = mint_room(
        "r", secret=secret, user_id="ada", can=["push"], meta={"role": "host"}, ttl=60
    )
    grant = await verifier.authorize(token, "r", ada)
    assert grant.can == {"push"}
    assert grant.meta == {"role": "host"}
