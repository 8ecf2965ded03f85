"""Owns what goes wrong: refused, or not reached."""

from __future__ import annotations

from typing import Any


class BeamError(Exception):
    """Beam refused a request.

    `status`: HTTP's. `code`, `message`, `fields`: what Beam said.
    """

    def __init__(self, status: int, code: str, message: str, fields: Any) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields


class Unavailable(BeamError):
    """Beam was not reached, or could not serve, however often it was asked."""
