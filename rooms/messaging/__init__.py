"""Delivery: the publish path, the hub, and the output of each socket.

- `asgi_socket`: the output of one socket on other ASGI servers
- `background_tasks`: the background tasks of one event loop
- `channel_queue`: messages and work that wait for a busy channel
- `connections`: open connections by user, their limits
- `control_topic`: events for the processes themselves
- `fanout`: writes the events of a topic to its local members
- `grace_period`: members stay for a time after a lost connection
- `hub`: topics and local members of this process
- `hub_mailbox`: reads the channel of this process on the channel layer
- `member`: a recipient of events, and events that wait for its join
- `observers`: open connections of admins
- `outbound`: the interface of a socket's output
- `prepared_socket`: the output of one socket on Beam's server
- `presence_diffs`: merges presence changes, and sends them
- `presence_order`: removes outdated presence changes
- `publisher`: the publish path
- `receipts`: publishers that wait for their own event
- `subscriptions`: the groups that this process is in
- `topic_members`: the local members of one topic
"""
