"""Tokens, API keys and client addresses. `Verifier` is public."""

from rooms.auth.grants import Verifier

__all__ = ["Verifier"]
