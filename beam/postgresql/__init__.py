"""Django's PostgreSQL backend with a limit of time on every answer.

- `base`: closes connections on which PostgreSQL does not answer
"""
