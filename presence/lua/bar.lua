-- Shuts a topic for somebody, for a time, or opens it again.
-- ARGV[1] for whom: 'closed', 'group:' and a group, 'key:' and a key
-- ARGV[2] ms; 0 opens, below 0: for ever
-- Returns 1.
-- Caller: presence.shared.RedisTracker.shut
local ms, now = tonumber(ARGV[2]), milliseconds()
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
