-- Shuts a topic for somebody, for a time, or opens it again.
-- ARGV[1] for whom: 'closed', 'group:' and a group, 'key:' and a key
-- ARGV[2] ms; 0 opens, below 0: for ever
-- ARGV[3] for how many it may be shut; closing it for everybody is always possible
-- Returns 1, or 0 if it is shut for so many others.
-- Caller: presence.redis_tracker.RedisTracker.ban and unban
local ms, now = tonumber(ARGV[2]), milliseconds()
if ms ~= 0 and ARGV[1] ~= 'closed' and not redis.call('ZSCORE', GATE, ARGV[1])
  and redis.call('ZCOUNT', GATE, now, '+inf') >= tonumber(ARGV[3]) then
  return 0
end
if ms == 0 then
  redis.call('ZREM', GATE, ARGV[1])
else
  redis.call('ZADD', GATE, ms < 0 and FOREVER or now + ms, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', GATE, '-inf', now)
local last = redis.call('ZRANGE', GATE, -1, -1, 'WITHSCORES')
if last[2] and tonumber(last[2]) < FOREVER then
  redis.call('EXPIRE', GATE, math.ceil((last[2] - now) / 1000))
elseif last[2] then
  redis.call('PERSIST', GATE)
end
return 1
