-- Checks whether a key may enter a topic without an entry.
-- ARGV[1] key
-- ARGV[2] digest of its group
-- Returns the reason for which the topic refuses the key, or ''.
-- Caller: presence.redis_tracker.RedisTracker.admit
return refusal(ARGV[1], ARGV[2]) or ''
