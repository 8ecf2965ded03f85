"""Owns the HTTP door for backends: DRF views and their serializers."""

from __future__ import annotations

import hmac
import logging
from typing import Any

from asgiref.sync import async_to_sync
from django.core.exceptions import RequestDataTooBig
from django.db import Error as DatabaseError
from django.db import connection
from django.http import JsonResponse
from rest_framework import exceptions, serializers, status
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from beam import metrics, redis
from beam.conf import conf
from rooms import relay
from rooms.connections import connections
from rooms.event import Event
from rooms.handshake import Refused, assign, parse_params
from rooms.hub import hub
from rooms.room import room_topic
from rooms.wire import BadFrame, is_reserved, loads

logger = logging.getLogger(__name__)

MAX_EVENT_NAME = 200


class SharedSecret:
    """The header `secret` equals `BEAM_API_SECRET`; compared in constant time."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Raises `NotAuthenticated` for a missing and a wrong secret alike."""
        given = request.headers.get("secret", "").encode()
        known = conf().api_secret.encode()
        if not hmac.compare_digest(given, known) or not known:
            metrics.API_REFUSED.value += 1
            raise exceptions.NotAuthenticated("missing or wrong secret")
        return True

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        """Who knows the secret may touch every object."""
        return True


class JsonParser(BaseParser):
    """`application/json`, by the same rules as a client's frame."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, context: Any = None) -> Any:
        """Raises `ParseError` for what is no JSON or nests too deeply."""
        try:
            return loads(stream.read(), conf().max_message_depth + 1)
        except BadFrame as error:
            raise exceptions.ParseError(f"not JSON: {error}") from None


class BracketFormParser(BaseParser):
    """`application/x-www-form-urlencoded` with nesting: `payload[a]=1`."""

    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: Any, media_type: Any = None, context: Any = None) -> Any:
        """Raises `ParseError` for what is no form."""
        try:
            return parse_params(stream.read())
        except Refused as error:
            raise exceptions.ParseError(str(error)) from None


class BracketMultiPartParser(MultiPartParser):
    """`multipart/form-data` with the same nesting; files are passed over."""

    def parse(self, stream: Any, media_type: Any = None, context: Any = None) -> Any:
        """Raises `ParseError` for what is no form."""
        form = super().parse(stream, media_type, context)
        params: dict[str, Any] = {}
        try:
            for key, value in form.data.items():
                assign(params, key, str(value))
        except Refused as error:
            raise exceptions.ParseError(str(error)) from None
        return params


class TooLarge(exceptions.APIException):
    """The body is larger than Beam takes."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class BackendView(APIView):
    """A view for backends."""

    permission_classes = (SharedSecret,)  # type: ignore[assignment]
    parser_classes = (JsonParser, BracketFormParser, BracketMultiPartParser)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Who may call comes first, then how much they may send."""
        super().initial(request, *args, **kwargs)
        limit = conf().max_message_bytes
        if len(request._request.body) > limit:
            raise TooLarge(f"the body has at most {limit} bytes")


class RoomId(serializers.CharField):
    """A room id: 1 to 200 characters of any script, no control characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Raises `ValidationError` for an id that is none."""
        room_id: str = super().to_internal_value(data)
        try:
            room_topic(room_id)
        except ValueError as error:
            raise serializers.ValidationError(str(error), "invalid_room_id") from None
        return room_id


class EventName(serializers.CharField):
    """An event name that is not reserved."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, max_length=MAX_EVENT_NAME, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Raises `ValidationError` for what is no text, or reserved."""
        if not isinstance(data, str):
            raise serializers.ValidationError("not text")
        name: str = super().to_internal_value(data)
        if is_reserved(name):
            raise serializers.ValidationError("this name is reserved", "reserved_event")
        return name


class Payload(serializers.Field):  # type: ignore[type-arg]
    """Any JSON object."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Raises `ValidationError` for what is no object."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("not an object")
        return data

    def to_representation(self, value: Any) -> Any:
        """The object itself."""
        return value


class RoomEvent(serializers.Serializer):  # type: ignore[type-arg]
    """The body of `push_room_event`."""

    room_id = RoomId()
    event = EventName(default="new_msg")
    payload = Payload(default=dict)


class PushRoomEvent(BackendView):
    """`POST /api/v1/push_room_event`: the original service's call."""

    def post(self, request: Request) -> Response:
        """Send an event to everybody in a room: 200, empty body."""
        body = RoomEvent(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        event = Event(
            topic=room_topic(given["room_id"]),
            name=given["event"],
            payload=given["payload"],
        )
        async_to_sync(relay.published)(event)
        return Response()


class Health(BackendView):
    """`GET /api/v1/health`: the original service's call."""

    def get(self, request: Request) -> Response:
        """200, empty body."""
        return Response()


CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
}


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every refusal in one shape: `{"error": {"code", "message", "fields"?}}`."""
    if isinstance(error, relay.Unavailable):
        return _error(503, "unavailable", "the channel layer is away; try again")
    if isinstance(error, RequestDataTooBig):
        return _error(413, "too_large", "the body is far too large")
    if isinstance(error, exceptions.ValidationError):
        fields = error.get_full_details()
        return _error(400, "invalid", "the request is not valid", fields)
    if isinstance(error, exceptions.ParseError):
        return _error(400, "malformed", str(error.detail))
    if isinstance(error, exceptions.APIException):
        status = error.status_code
        if isinstance(error, exceptions.NotAuthenticated):
            status = 401
        return _error(status, CODES.get(status, "error"), str(error.detail))
    return None


def _error(status: int, code: str, message: str, fields: Any = None) -> Response:
    error = {"code": code, "message": message}
    if fields is not None:
        error["fields"] = fields
    return Response({"error": error}, status=status)


def not_found(request: Any, exception: Any = None) -> JsonResponse:
    """The answer for a path that is none."""
    error = {"code": "not_found", "message": "there is nothing at this path"}
    return JsonResponse({"error": error}, status=404)


def healthz(request: Any) -> JsonResponse:
    """`GET /healthz`: the process is live."""
    return JsonResponse({"status": "ok"})


def readyz(request: Any) -> JsonResponse:
    """`GET /readyz`: database, Redis and the hub's loop; 503 says what is wrong."""
    checks = {"database": _check_database(), **async_to_sync(_check_loop)()}
    wrong = {name: why for name, why in checks.items() if why is not None}
    body = {name: why or "ok" for name, why in checks.items()}
    answer = {"status": "unready" if wrong else "ready", "checks": body}
    return JsonResponse(answer, status=503 if wrong else 200)


def _check_database() -> str | None:
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        return type(error).__name__
    return None


async def _check_loop() -> dict[str, str | None]:
    checks: dict[str, str | None] = {}
    if conf().redis_url:
        try:
            await redis.client().ping()
            checks["redis"] = None
        except (redis.RedisError, OSError) as error:
            checks["redis"] = type(error).__name__
    checks["server"] = "draining" if connections.draining else None
    try:
        await hub().start()
        checks["hub"] = None
    except Exception as error:  # noqa: BLE001 - any layer, any error
        checks["hub"] = type(error).__name__
    return checks
