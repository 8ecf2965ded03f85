"""The fixture's mounts: `/socket`, and `/short` with a timeout of 400 ms."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.conformance.settings")

from beam.asgi import Application
from rooms.channels.consumer import SocketConsumer

application = Application(
    {
        "/socket": SocketConsumer.as_asgi(),
        "/short": SocketConsumer.as_asgi(idle_timeout=0.4),
    }
)
