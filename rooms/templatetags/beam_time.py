"""A template filter for Unix times."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template

register = template.Library()


@register.filter
def moment(seconds: float) -> datetime:
    """The date and time of a Unix time, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
