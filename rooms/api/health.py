"""Requests about the service itself: its processes, health, readiness."""

from __future__ import annotations

import asyncio
from typing import Any

from django.http import HttpResponse, JsonResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from beam import database, redis
from beam.config.conf import conf
from rooms.api.openapi import describe, shape
from rooms.api.plain_errors import answer_other_methods
from rooms.api.view import BackendView
from rooms.messaging.connections import connections
from rooms.messaging.hub import hub
from rooms.runtime import processes, runtime


class Processes(BackendView):
    """`GET /api/v1/processes`: the processes of this deployment."""

    scope = "rooms:read"

    @describe(
        "List the processes of this deployment",
        shape(
            "Processes",
            processes=serializers.ListField(
                child=shape(
                    "Process",
                    id=serializers.CharField(),
                    host=serializers.CharField(),
                    pid=serializers.IntegerField(),
                    started=serializers.IntegerField(),
                    sockets=serializers.IntegerField(),
                    rooms=serializers.IntegerField(),
                )
            ),
        ),
        example={
            "processes": [
                {
                    "id": "k3Jd9w",
                    "host": "beam-1",
                    "pid": 42,
                    "started": 1789000000,
                    "sockets": 1200,
                    "rooms": 300,
                }
            ]
        },
        operation="list_processes",
    )
    async def get(self, request: Request) -> Response:
        """The id, host, pid, start time, sockets and rooms of each process."""
        return Response({"processes": await processes()})


class Health(BackendView):
    """`GET /api/v1/health`: for backends that check their credentials."""

    @describe(
        "Check the secret or API key",
        operation="check",
    )
    async def get(self, request: Request) -> Response:
        """200 and an empty body if the secret or key is valid."""
        return Response()


async def healthz(request: Any) -> HttpResponse:
    """`GET /healthz`: 200 while the process is alive. Open to all."""
    return answer_other_methods(request) or JsonResponse({"status": "ok"})


async def readyz(request: Any) -> HttpResponse:
    """`GET /readyz`: the state of the database, Redis and the hub. Open to all.

    503 if one of them fails, or while the process drains.
    """
    if (other := answer_other_methods(request)) is not None:
        return other
    problem, checks = await asyncio.gather(database.checks.problem(), _check_loop())
    checks = {"database": problem, **checks}
    wrong = {name: why for name, why in checks.items() if why is not None}
    body = {name: why or "ok" for name, why in checks.items()}
    answer = {"status": "unready" if wrong else "ready", "checks": body}
    return JsonResponse(answer, status=503 if wrong else 200)


async def _check_loop() -> dict[str, str | None]:
    checks: dict[str, str | None] = {}
    if conf().redis_url:
        link = redis.link()
        if link.up:
            await redis.batch().probe()
        checks["redis"] = None if link.up else link.why or "unavailable"
        checks["subscription"] = None if runtime().is_subscribed else "not proved"
    checks["server"] = "draining" if connections().is_draining else None
    try:
        await hub().start()
        checks["hub"] = None
    except Exception as error:  # noqa: BLE001 - any layer, any error
        is_outage = isinstance(error, redis.Unavailable)
        checks["hub"] = "unavailable" if is_outage else type(error).__name__
    return checks
