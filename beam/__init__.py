"""The project: settings, the server, its commands, Redis, metrics and logs.

- `apps`: the Django apps of the commands and of the admin
- `asgi`: the ASGI application: which path goes to which part
- `config`: settings and their checks
- `database`: whether the database answers and is migrated
- `loops`: one object per event loop, or per `settings.BEAM`
- `management`: the commands of `manage.py`
- `postgresql`: Django's PostgreSQL backend with time limits
- `redis`: the Redis client, the channel layer
- `server`: daphne with Beam's protocols; processes, shutdown
- `settings`: the Django settings
- `telemetry`: metrics, log format
- `urls`: HTTP routes of the project
"""
