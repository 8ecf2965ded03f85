-- Replaces an entry by another with a new ref; both in one change.
-- ARGV[1] old ref    ARGV[2] new ref    ARGV[3] owner    ARGV[4] group
-- ARGV[5] JSON    ARGV[6] how many bytes the topic may grow to; 0: any number
-- Returns {version of this change, old JSON}; {0} if the old entry is gone, {-1}
-- if the new one is too large: then nothing changed.
-- Caller: presence.redis_tracker.RedisTracker.update
local entry = redis.call('HGET', ENTRIES, ARGV[1])
if not entry then
  return {0}
end
local _, _, old = split(entry)
local most, growth, size = tonumber(ARGV[6]), #ARGV[5] - #old, weight()
if most > 0 and growth > 0 and size + growth > most then
  return {-1}
end
-- First what a Redis without memory refuses, before anything is lost.
redis.call('HSET', ENTRIES, ARGV[2], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
redis.call('HDEL', ENTRIES, ARGV[1])
redis.call('HDEL', LEAVING, ARGV[1])
redis.call('SET', WEIGHT, size + growth)
return {changed(), old}
