"""Runs the join of a channel: what it answers, and whether the client is in."""

from __future__ import annotations

import asyncio
from typing import Any

from beam.config.conf import conf
from beam.loops import per_settings
from beam.telemetry import metrics
from rooms.channels.channel import Channel
from rooms.channels.results import NULL, Refused
from rooms.monitoring import client_log
from rooms.protocol.frame import Frame, reply
from rooms.protocol.rate_limit import RateLimit
from rooms.protocol.reasons import Reason
from rooms.protocol.serializer import encode


async def run_join(channel: Channel, payload: Any) -> tuple[Any, bool]:
    """The `response` of the join's reply, and whether the join was accepted."""
    try:
        return _response_of(channel, await channel.join(payload)), True
    except Refused as refusal:
        client_log.join_refused(
            channel.topic, channel.owner.identity.user_id, refusal.reason, refusal.why
        )
        return refusal.response, False
    except asyncio.CancelledError:
        channel.close()
        raise
    except Exception as error:  # noqa: BLE001 - a channel may raise anything
        client_log.crashed(f"A join of {type(channel).__name__} crashed", error)
        metrics.CRASHES.value += 1
        return {"reason": Reason.JOIN_CRASHED}, False


def _response_of(channel: Channel, returned: Any) -> Any:
    """What a join returned, as the response. Raises if it cannot be encoded."""
    if returned is None:
        return {}
    response = None if returned is NULL else returned
    if response != {}:
        frame = Frame(None, None, channel.topic, "phx_reply", None)
        encode(reply(frame, "ok", response, None), channel.socket.vsn)
    return response


@per_settings
def join_rate() -> RateLimit:
    """How many joins this process accepts, of all clients."""
    return RateLimit(conf().join_rate, conf().join_burst)
