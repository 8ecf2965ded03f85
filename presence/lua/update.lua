-- Replaces an entry by one with a new ref, in one change.
-- ARGV[1] old ref
-- ARGV[2] new ref
-- ARGV[3] owner: the process that holds the entry
-- ARGV[4] digest of the group
-- ARGV[5] new JSON
-- ARGV[6] how many bytes the topic may grow to; 0 for any number
-- Returns {version of the change, old JSON}; {0} if there is no such entry, {-1} if the
-- new one is too large. In the last two cases nothing changed.
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
-- First the write that needs memory: if Redis refuses it, nothing is lost.
redis.call('HSET', ENTRIES, ARGV[2], ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
redis.call('HDEL', ENTRIES, ARGV[1])
redis.call('HDEL', LEAVING, ARGV[1])
redis.call('SET', WEIGHT, size + growth)
return {changed(), old}
