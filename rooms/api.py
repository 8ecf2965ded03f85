"""Owns the HTTP door for backends: DRF views and their serializers."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence
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
from rooms import batch, relay
from rooms.address import room_topic
from rooms.connections import connections
from rooms.event import Event
from rooms.handshake import Refused, assign, parse_params
from rooms.hub import hub
from rooms.keeper import processes
from rooms.wire import BadFrame, is_reserved, loads

logger = logging.getLogger(__name__)


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
    # Levels of the body around a payload.
    levels = 1

    def parse(self, stream: Any, media_type: Any = None, context: Any = None) -> Any:
        """Raises `ParseError` for what is no JSON or nests too deeply."""
        try:
            return loads(stream.read(), conf().max_message_depth + self.levels)
        except BadFrame as error:
            raise exceptions.ParseError(f"not JSON: {error}") from None


class BatchParser(JsonParser):
    """The same for a batch: a payload is in an item, in a list, in the body."""

    levels = 3


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
    parser_classes: Sequence[type[BaseParser]] = (
        JsonParser,
        BracketFormParser,
        BracketMultiPartParser,
    )

    @property
    def max_bytes(self) -> int:
        """How large a body may be."""
        return conf().max_message_bytes

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Who may call comes first, then how much they may send."""
        super().initial(request, *args, **kwargs)
        limit = self.max_bytes
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
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Raises `ValidationError` for what is no text, or reserved."""
        try:
            return batch.event_name(data)
        except ValueError as error:
            reserved = isinstance(data, str) and is_reserved(data)
            code = "reserved_event" if reserved else "invalid"
            raise serializers.ValidationError(str(error), code) from None


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


class Events(BackendView):
    """`POST /api/v1/events`: many events in one request."""

    parser_classes = (BatchParser,)

    @property
    def max_bytes(self) -> int:
        """How large a body may be."""
        return conf().max_batch_bytes

    def post(self, request: Request) -> Response:
        """One result an item, in order: what is not valid does not hold up the rest."""
        items = request.data.get("events") if type(request.data) is dict else None
        if type(items) is not list or not items:
            raise exceptions.ValidationError({"events": ["a list, not empty"]})
        if sum(map(batch.rooms_of, items)) > batch.MAX_ROOMS:
            message = f"a batch reaches at most {batch.MAX_ROOMS} rooms"
            raise exceptions.ValidationError({"events": [message]})
        results = async_to_sync(_publish_all)(items)
        if all(result is UNAVAILABLE for result in results):
            raise relay.Unavailable
        return Response({"results": results})


OK = {"status": "ok"}
UNAVAILABLE = {
    "status": "error",
    "error": {"code": "unavailable", "message": "not relayed; try again"},
}


async def _publish_all(items: list[Any]) -> list[dict[str, Any]]:
    """Publish what is valid in one turn of the loop; the result of each item."""
    limit = conf().max_message_bytes
    started = [_start(item, limit) for item in items]
    return [
        begun if isinstance(begun, dict) else await _outcome(begun) for begun in started
    ]


def _start(item: Any, limit: int) -> dict[str, Any] | list[relay.Sent]:
    """An item's error, or what is under way of it."""
    try:
        sent = [relay.publish(event) for event in batch.read(item, limit)]
    except batch.Invalid as error:
        fields = error.fields
        message = "the item is not valid"
        details = {"code": "invalid", "message": message, "fields": fields}
        return {"status": "error", "error": details}
    return [future for future in sent if future is not None]


async def _outcome(sent: list[relay.Sent]) -> dict[str, Any]:
    try:
        for future in sent:
            await future
    except relay.Unavailable:
        return UNAVAILABLE
    return OK


class Processes(BackendView):
    """`GET /api/v1/processes`: the processes that are one service."""

    def get(self, request: Request) -> Response:
        """200: id, host, pid, started, sockets and rooms of each."""
        try:
            return Response({"processes": async_to_sync(processes)()})
        except (redis.RedisError, OSError):
            raise relay.Unavailable from None


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
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return type(error).__name__
    return None


async def _check_loop() -> dict[str, str | None]:
    checks: dict[str, str | None] = {}
    if conf().redis_url:
        try:
            await redis.batch().call("PING")
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
