"""Tokens, API keys and client IPs. `Verifier` is public."""

from rooms.auth.grants import Verifier

__all__ = ["Verifier"]
