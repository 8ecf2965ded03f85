"""The forms of the actions on a room."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import orjson
from django import forms
from django.utils.text import capfirst

from beam.config.conf import conf
from rooms.api import event_parser
from rooms.protocol import identifiers
from rooms.protocol.frame import BadFrame
from rooms.protocol.json_text import loads

BLOCKS: Final = (
    (0, "No block: the member can join again at once"),
    (600, "10 minutes"),
    (3_600, "1 hour"),
    (86_400, "1 day"),
    (604_800, "1 week"),
)
# What the form offers when it was opened to block a member.
BLOCK: Final = {"block_seconds": 3_600}


class RemoveForm(forms.Form):
    """Remove a member from a room."""

    everywhere = forms.BooleanField(
        required=False,
        label="All sessions of this user",
        help_text="If not checked: only this session, which is one tab or device.",
    )
    reason = forms.CharField(
        max_length=200, initial="removed", help_text="Sent to the member."
    )
    block_seconds = forms.TypedChoiceField(
        label="Block", choices=BLOCKS, coerce=int, initial=0
    )


class UnblockForm(forms.Form):
    """Remove a block before it expires."""

    target = forms.CharField(
        strip=False,
        label="User or session",
        help_text="As it was blocked: a user id, or a session as USER_ID:SESSION_ID.",
    )

    def clean_target(self) -> str:
        """Raises `ValidationError` if it is not a user id or a session."""
        target: str = self.cleaned_data["target"]
        for read in (identifiers.user_id, identifiers.session):
            with suppress(ValueError):
                return read(target)
        raise forms.ValidationError(
            "Enter a user id, or a session as USER_ID:SESSION_ID."
        )


class SendForm(forms.Form):
    """Send an event to all members of a room."""

    event = forms.CharField(max_length=event_parser.MAX_EVENT_NAME, initial="new_msg")
    payload = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8, "cols": 60, "spellcheck": "false"}),
        initial='{"text": ""}',
        help_text="A JSON object.",
    )

    def clean_event(self) -> str:
        """Raises `ValidationError` for a reserved name."""
        try:
            return event_parser.event_name(self.cleaned_data["event"])
        except ValueError as error:
            raise forms.ValidationError(f"{capfirst(str(error))}.") from None

    def clean_payload(self) -> dict[str, Any]:
        """The object. Raises `ValidationError` with the position of a syntax error."""
        text: str = self.cleaned_data["payload"]
        try:
            orjson.loads(text)
            payload = loads(text.encode(), conf().max_message_depth)
        except orjson.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise forms.ValidationError(
                f"Not valid JSON: {error.msg} ({where})."
            ) from None
        except (BadFrame, UnicodeError) as error:
            raise forms.ValidationError(f"Not valid JSON: {error}.") from None
        if not isinstance(payload, dict):
            raise forms.ValidationError("The payload must be a JSON object.")
        if len(text.encode()) > conf().max_message_bytes:
            most = f"{conf().max_message_bytes:,}"
            raise forms.ValidationError(f"The payload may have at most {most} bytes.")
        return payload
