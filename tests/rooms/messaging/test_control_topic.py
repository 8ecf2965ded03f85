"""Events of the control topic, by name."""

from __future__ import annotations

from rooms.messaging.control_topic import CONTROL_TOPIC, ControlEvents
from rooms.protocol.encoded_event import Delivery, pack
from rooms.protocol.event import Event


def event(name: str) -> Delivery:
    return Delivery(pack(Event(topic=CONTROL_TOPIC, name=name, payload={})))


def test_an_event_is_handled_by_the_last_handler_of_its_name() -> None:
    control, handled = ControlEvents(), list[str]()
    control.register("one", lambda _: handled.append("first"))
    control.register("one", lambda delivery: handled.append(delivery.name))
    control.register("two", lambda _: handled.append("other"))

    control.dispatch(event("one"))

    assert handled == ["one"]


def test_an_event_without_a_handler_is_ignored() -> None:
    ControlEvents().dispatch(event("unknown"))
