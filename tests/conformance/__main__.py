"""`python -m tests.conformance --port P [--redis URL]`: the fixture, served."""

from __future__ import annotations

import argparse
import os
import sys


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--redis", default="", metavar="URL")
    options = parser.parse_args()
    os.environ["REDIS_URL"] = options.redis
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.conformance.settings"

    import django

    django.setup()
    from beam.server.daphne import Server

    from tests.conformance.asgi import application  # isort: skip

    server = Server(application, options.host, options.port)
    server.run()
    sys.exit(server.failed)


if __name__ == "__main__":
    main()
