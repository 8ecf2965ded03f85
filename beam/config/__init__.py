"""What is configured: settings, the environment, and their checks.

- `checks`: system checks of settings (`beam.E001`, ...)
- `command_line`: `manage.py`, with errors of the configuration in one line
- `conf`: the list of all settings, with types and defaults
- `environment`: reads environment variables; `BEAM_<NAME>` sets a setting
- `misspelled_variables`: variables `BEAM_...` without effect
- `origins`: from which origins pages may connect
- `public_keys`: reads public keys (PEM, JWK), and their algorithms
- `ranges`: the range of each setting that is a number
- `redis_url`: reads `REDIS_URL`: one server, or Sentinels
- `secrets`: the length and kind of secrets
"""
