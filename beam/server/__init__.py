"""The server: daphne with Beam's WebSocket protocol, limits and shutdown.

- `api_handler`: calls the API's views in the event loop
- `application_queue`: messages that wait for a WebSocket application
- `body_limit`: the size of request bodies
- `daphne`: the server of one process: its start, its parts
- `event_loop`: uvloop, and Twisted's reactor on it
- `http`: reads the opening handshake, or passes on HTTP
- `listening`: the listening socket, and its errors
- `page_handler`: runs Django pages in threads, a limited number at once
- `server_process`: one process, as the supervisor sees it
- `shutdown`: what runs at SIGTERM
- `supervisor`: `--processes N`: starts, replaces and stops processes
- `twisted_log`: errors inside Twisted, autobahn and daphne
- `websocket`: daphne's WebSocket protocol: whole messages
- `websocket_output`: writes to one client, closes a slow one
"""
