-- Whether somebody may enter who will not be present.
-- ARGV[1] key    ARGV[2] group
-- Returns why not, or ''.
-- Caller: presence.redis_tracker.RedisTracker.admit
return refusal(ARGV[1], ARGV[2]) or ''
