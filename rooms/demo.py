"""The demo page, and an open endpoint that makes its tokens. Only with DEBUG=1."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from rooms.auth import jwt_tokens
from rooms.protocol import identifiers
from rooms.protocol.identifiers import room_topic

TOKEN_SECONDS = 24 * 3_600


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """`GET /`: the demo page."""
    return render(request, "rooms/demo.html", {"secret": settings.API_SECRETS[0]})


@require_safe
def token(request: HttpRequest) -> JsonResponse:
    """`GET /demo/token?user_id=U&room_id=R`: tokens without a check of the caller."""
    user_id, room_id = request.GET.get("user_id", ""), request.GET.get("room_id", "")
    try:
        room_topic(room_id)
        identifiers.user_id(user_id)
    except ValueError as error:
        return _refuse(str(error))
    return JsonResponse(
        {
            "user_token": jwt_tokens.mint_user(user_id, TOKEN_SECONDS),
            "room_token": jwt_tokens.mint_room(room_id, TOKEN_SECONDS),
        }
    )


def _refuse(message: str) -> JsonResponse:
    return JsonResponse({"error": {"code": "invalid", "message": message}}, status=400)
