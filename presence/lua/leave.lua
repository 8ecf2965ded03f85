-- Begins the grace period of an entry: it stays, and may be taken over.
-- ARGV[1] ref    ARGV[2] key
-- Returns 1, or 0 where the entry is gone.
-- Caller: presence.shared.RedisTracker.leave
if redis.call('HEXISTS', ENTRIES, ARGV[1]) == 0 then
  return 0
end
redis.call('HSET', LEAVING, ARGV[1], ARGV[2])
return 1
