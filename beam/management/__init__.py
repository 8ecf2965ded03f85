"""The commands of `manage.py`.

- `api_client`: calls the REST API of a running server
- `commands`: one module for each command
"""
