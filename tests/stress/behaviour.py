"""What the clients of a stress run do, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Behaviour:
    """What a client does: `rate` actions per second, chosen by weight."""

    rate: float = 1.0
    actions: dict[str, int] = field(
        default_factory=lambda: {
            "broadcast": 70,
            "direct message": 14,
            "presence update": 6,
            "rejoin": 5,
            "drop connection": 3,
            "drop connection, pause": 2,
        }
    )
