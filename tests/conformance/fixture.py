"""The fixture that the head of `vectors.json` describes, on Beam's channels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from presence.factory import tracker
from presence.tracker import NotTracked
from rooms.auth import grants
from rooms.channels import NULL, Channel, Refused
from rooms.messaging import publisher
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.connections import connections, disconnect_event
from rooms.messaging.grace_period import untrack
from rooms.messaging.presence_diffs import diffs
from rooms.protocol.close_codes import Close


class FixtureVerifier:
    """`user:<id>` is user <id>, `room:<id>` is room <id>; others are refused."""

    async def user(self, token: str) -> grants.Identity:
        return grants.Identity(_after("user:", token))

    async def room(self, token: str) -> grants.RoomGrant:
        return grants.RoomGrant(_after("room:", token))


def _after(prefix: str, token: str) -> str:
    if not token.startswith(prefix):
        raise grants.Unauthorized("not a token of the fixture")
    return token.removeprefix(prefix)


class PlainChannel(Channel):
    """Join ok, nothing else."""

    async def join(self, payload: Any) -> Any:
        await self.subscribe()
        return {}


class FixtureChannel(Channel):
    """`test:*`: does what the name of the event says."""

    intercepts = frozenset({"rewrite", "hidden"})

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._refs: dict[str, str] = {}
        self._after: str | None = None

    async def join(self, payload: Any) -> Any:
        asked = payload if isinstance(payload, dict) else {}
        if "reject" in asked:
            raise Refused(asked["reject"])
        if asked.get("crash") is True:
            raise RuntimeError("the client requested a crash")
        self._after = asked.get("after")
        await self.subscribe()
        reply = asked.get("reply", {})
        return NULL if reply is None else reply

    async def joined(self) -> None:
        if self._after is not None:
            self.push(self._after, {"after": "join"})

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None] | None:
        handler = getattr(self, f"on_{event}", None)
        if not isinstance(event, str) or handler is None:
            raise NotImplementedError(f"no handler for {event!r}")
        work: Awaitable[None] | None = handler(payload, ref)
        return work

    def intercepted(self, event: str, payload: Any) -> None:
        if event == "rewrite":
            for_me = {"for": self.owner.identity.user_id}
            self.push("rewritten", payload | for_me)

    def terminate(self) -> None:
        if self.topic.startswith("test:bye"):
            self.push("you_left", {})

    def cleanup(self, *, lost: bool) -> asyncio.Task[Any] | None:
        refs, self._refs = list(self._refs.values()), {}
        return background_tasks().spawn(untrack(self.topic, refs)) if refs else None

    def on_echo(self, payload: Any, ref: Any) -> None:
        self.reply(ref, "ok", payload)

    on_bin_echo = on_echo

    def on_fail(self, payload: Any, ref: Any) -> None:
        self.reply(ref, "error", payload)

    def on_ack(self, payload: Any, ref: Any) -> None:
        self.reply(ref)

    def on_noreply(self, payload: Any, ref: Any) -> None:
        pass

    def on_push_me(self, payload: Any, ref: Any) -> None:
        self.push("pushed", payload)

    def on_bin_push(self, payload: Any, ref: Any) -> None:
        self.push("bin_pushed", payload)

    def on_push_then_ack(self, payload: Any, ref: Any) -> None:
        self.push("pushed", payload)
        self.reply(ref)

    async def on_broadcast(self, payload: Any, ref: Any) -> None:
        await self.broadcast("msg", payload)
        self.reply(ref)

    async def on_broadcast_from(self, payload: Any, ref: Any) -> None:
        await self.broadcast("msg", payload, to_self=False)
        self.reply(ref)

    async def on_broadcast_rewrite(self, payload: Any, ref: Any) -> None:
        await self.broadcast("rewrite", payload)

    async def on_broadcast_hidden(self, payload: Any, ref: Any) -> None:
        await self.broadcast("hidden", payload)

    async def on_bin_broadcast(self, payload: Any, ref: Any) -> None:
        await self.broadcast("bin_msg", payload)

    def on_crash(self, payload: Any, ref: Any) -> None:
        raise RuntimeError("the client requested a crash")

    def on_stop(self, payload: Any, ref: Any) -> None:
        self.stop()

    def on_stop_reply(self, payload: Any, ref: Any) -> None:
        self.reply(ref, "ok", payload)
        self.stop()

    def on_whoami(self, payload: Any, ref: Any) -> None:
        owner = self.owner
        self.reply(
            ref,
            "ok",
            {
                "user_id": owner.identity.user_id,
                "auth_token": owner.auth_token,
                "params": owner.params,
            },
        )

    async def on_track(self, payload: Any, ref: Any) -> None:
        key = payload["key"]
        if key in self._refs:
            raise Refused("already_tracked")
        tracked = await tracker().track(self.topic, key, payload["meta"])
        self._refs[key] = tracked.ref
        diffs().publish(self.topic, tracked.diff)
        self.reply(ref)

    async def on_update(self, payload: Any, ref: Any) -> None:
        key = payload["key"]
        if key not in self._refs:
            raise Refused("nopresence")
        try:
            updated = await tracker().update(
                self.topic, self._refs[key], payload["meta"]
            )
        except NotTracked:
            raise Refused("nopresence") from None
        self._refs[key] = updated.ref
        diffs().publish(self.topic, updated.diff)
        self.reply(ref)

    async def on_untrack(self, payload: Any, ref: Any) -> None:
        if (tracked := self._refs.pop(payload["key"], None)) is not None:
            await untrack(self.topic, [tracked])
        self.reply(ref)

    async def on_list(self, payload: Any, ref: Any) -> None:
        self.reply(ref, "ok", (await tracker().list(self.topic)).state)

    async def on_state(self, payload: Any, ref: Any) -> None:
        self.push("presence_state", (await tracker().list(self.topic)).state)

    async def on_disconnect_user(self, payload: Any, ref: Any) -> None:
        await publisher.published(disconnect_event(payload["id"]))

    def on_drain(self, payload: Any, ref: Any) -> None:
        for connection in connections().everyone():
            if connection.socket is self.socket:
                connection.close(Close.RESTART)
