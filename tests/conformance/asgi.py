"""The fixture's mounts: `/socket`, and `/short` with a timeout of 400 ms."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.conformance.settings")

from beam.asgi import Application
from rooms.channels.client_consumer import ClientConsumer

application = Application(
    {
        "/socket": ClientConsumer.as_asgi(),
        "/short": ClientConsumer.as_asgi(idle_timeout=0.4),
    }
)
