-- Reads a topic's entries together with their version.
-- Returns {version, {JSON, ...}}.
-- Caller: presence.redis_tracker.RedisTracker.list
return {version(), bodies()}
