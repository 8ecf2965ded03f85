"""Django's PostgreSQL backend with a limit of time on every answer."""
