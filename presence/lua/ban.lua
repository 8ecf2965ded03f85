-- Bans a key, a group or all keys from a topic, or lifts that ban.
-- ARGV[1] whom: 'closed' for all keys, 'group:' and the digest of a group, 'key:' and
--         a key
-- ARGV[2] for how many milliseconds; 0 lifts the ban, less than 0 has no end
-- ARGV[3] how many bans the topic may have; 'closed' is always possible
-- Returns 1, or 0 if the topic has so many other bans.
-- Caller: presence.redis_tracker.RedisTracker.ban and unban
local ms, now = tonumber(ARGV[2]), milliseconds()
if ms ~= 0 and ARGV[1] ~= 'closed' and not redis.call('ZSCORE', BANS, ARGV[1])
  and redis.call('ZCOUNT', BANS, now, '+inf') >= tonumber(ARGV[3]) then
  return 0
end
if ms == 0 then
  redis.call('ZREM', BANS, ARGV[1])
else
  redis.call('ZADD', BANS, ms < 0 and FOREVER or now + ms, ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', BANS, '-inf', now)
local last = redis.call('ZRANGE', BANS, -1, -1, 'WITHSCORES')
if last[2] and tonumber(last[2]) < FOREVER then
  redis.call('EXPIRE', BANS, math.ceil((last[2] - now) / 1000))
elseif last[2] then
  redis.call('PERSIST', BANS)
end
return 1
