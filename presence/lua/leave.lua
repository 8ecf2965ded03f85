-- Begins the grace period of an entry: it stays, and its key may take it over.
-- ARGV[1] ref
-- ARGV[2] key
-- Returns 1; 0 if there is no such entry; 2 if the key is banned.
-- Caller: presence.redis_tracker.RedisTracker.leave
local entry = redis.call('HGET', ENTRIES, ARGV[1])
if not entry then
  return 0
end
local _, group = split(entry)
redis.call('HSET', LEAVING, ARGV[1], ARGV[2])
return refusal(ARGV[2], group) and 2 or 1
