-- Reads a topic's entries together with their version.
-- KEYS[1] entries    KEYS[2] version    (as in track.lua)
-- Returns {version, {ref, entry, ...}}; version 0 for a topic never seen.
-- Caller: presence.tracker.RedisTracker.list
return {tonumber(redis.call('GET', KEYS[2]) or '0'), redis.call('HGETALL', KEYS[1])}
