"""The commands of `manage.py`, one module each.

- `beam_admin`: creates the first admin on a development machine
- `beam_forget`: deletes database rows of unused rooms
- `beam_key`: creates, lists and revokes API keys
- `beam_rooms`: lists live rooms, or the members of one room
- `beam_send`: sends an event to a room
- `beam_serve`: runs the server
- `beam_token`: prints a user token or a room token
"""
