"""Rooms, their members and their messages.

- `admin`: Django admin: rooms, API keys, the live view
- `api`: the REST API
- `apps`: the Django app
- `auth`: tokens, API keys, client IP
- `channels`: the WebSocket consumer, channels, what a room does
- `demo`: the demo page
- `messaging`: the publish path, the hub, the output of sockets
- `migrations`: the migrations of the database
- `models`: the database tables: rooms and API keys
- `moderation`: remove, block, close, disconnect, send
- `monitoring`: statistics, recent activity, warnings
- `protocol`: the pure rules of Phoenix Channels
- `records`: what the database contains about rooms
- `runtime`: starts, recovers and stops the parts of one process
- `templatetags`: template filters
- `urls`: HTTP routes of the API
"""
