-- Reads a topic's entries together with their version.
-- Returns {version, {JSON, ...}}.
-- Caller: presence.shared.RedisTracker.list
return {version(), bodies()}
