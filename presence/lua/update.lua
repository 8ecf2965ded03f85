-- Replaces one entry by another with a new ref; both in one change.
-- KEYS[1] entries    KEYS[2] version    (as in track.lua)
-- ARGV[1] old ref    ARGV[2] new ref    ARGV[3] new entry
-- Returns {version of this change, old entry}, or {0} where the old is gone.
-- Caller: presence.tracker.RedisTracker.update
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old then
  return {0}
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return {redis.call('INCR', KEYS[2]), old}
