"""The REST API: DRF views in the event loop that serves the sockets.

- `authentication`: who calls: a shared secret, or an API key
- `error_codes`: the values of `error.code`
- `errors`: the answer of every error
- `event_batch`: publishes the events of a batch
- `event_parser`: parses events: JSON in, `Event` out
- `event_schemas`: the bodies that send events, for OpenAPI
- `events`: sends one event, or a batch
- `fields`: serializer fields: ids, event names, payloads
- `health`: `/healthz`, `/readyz`, processes
- `history`: the kept events of a room; there are none yet
- `idempotency`: handles a repeated request once
- `idempotency_store`: answers by idempotency key
- `moderation`: removes members, closes rooms, disconnects users
- `openapi`: describes parameters, answers and errors
- `openapi_document`: serves the OpenAPI document and its page
- `parsers`: parses request bodies
- `plain_errors`: errors of paths without a view
- `presence`: the members of a room
- `prometheus`: `/metrics`
- `rooms`: lists rooms, describes one
- `view`: the base of all views: authentication, rate, scope
"""
