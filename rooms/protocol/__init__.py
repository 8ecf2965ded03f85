"""The pure core: frames, serializers and rules. No asyncio, Django or Redis.

- `close_codes`: close codes of WebSockets
- `connection`: the rules of a connection: message in, step out
- `encoded_event`: encodes an event once for all its recipients
- `event`: an event, before it is encoded
- `event_names`: reserved event names
- `frame`: frames, serializer versions, bad frames
- `handshake`: the rules of a connect request
- `identifiers`: ids of rooms, users and sessions; topics of rooms
- `invalid_frames`: what can be read of an invalid frame
- `json_text`: JSON text to values and back
- `json_types`: names of JSON types for messages
- `output_limit`: how much may wait for a slow client
- `presence_parts`: splits large presence states
- `query_params`: query strings
- `rate_limit`: the arithmetic of a rate limit
- `reasons`: reasons of error replies
- `recipients`: recipients of a direct message (`to`)
- `ref_limits`: which topics and refs are kept
- `removal_event`: the event that removes members
- `reply_delay`: delays after failures of a client
- `serializer`: serializers V1 and V2
- `step`: what is done after a message
- `ws_frames`: WebSocket frames
"""
