-- Reads the entries of a topic together with its version.
-- Returns {version, {JSON of all entries}}.
-- Caller: presence.redis_tracker.RedisTracker.list
return {version(), bodies()}
