"""Channels: what a joined topic does. `Channel` is public, with what it raises.

- `asgi_scope`: params, client IP and kind of socket of a request
- `channel`: `Channel`: one joined topic, what a project overrides
- `channel_task`: what waits in a busy channel
- `client_consumer`: admits clients: user token, limits of connections
- `connection_interface`: what a channel needs of its connection
- `consumer`: the life of one WebSocket
- `failure_replies`: delays the replies to a failing client
- `inbound`: messages of a client that wait; applies `inbound_rate`
- `joins`: runs a join, sends its reply
- `plain_http`: HTTP requests of the WebSocket path
- `refused_connect`: answers refused connect requests
- `results`: what a handler returns or raises
- `room`: what a room does: join, push, presence, leave
- `room_payloads`: checks payloads, adds `from`
- `room_presence`: the presence entry of one member
- `room_token`: rights, expiry and renewal of a room token
- `router`: which class serves a topic
- `socket_channels`: the channels of one socket; carries out steps
"""

from rooms.channels.channel import Channel
from rooms.channels.results import NULL, Refused

__all__ = ["NULL", "Channel", "Refused"]
