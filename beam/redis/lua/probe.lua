-- Calls every command that presence uses: if one of them is refused, the outage is not
-- over. The first command needs memory: Redis checks its memory limit only before the
-- first write of a script.
--
-- KEYS: a hash, a string, a sorted set. ARGV: a channel.
-- Returns the time of Redis.

redis.call('HSET', KEYS[1], 'probe', 1)
redis.call('HINCRBY', KEYS[1], 'probe', 1)
redis.call('HDEL', KEYS[1], 'probe')
redis.call('SET', KEYS[2], 1, 'EX', 3600)
redis.call('INCR', KEYS[2])
redis.call('PERSIST', KEYS[2])
redis.call('EXPIRE', KEYS[2], 3600)
redis.call('DEL', KEYS[2])
redis.call('ZADD', KEYS[3], 1, 'probe')
redis.call('ZREM', KEYS[3], 'probe')
redis.call('HSETNX', KEYS[1], 'probe', 1)
for _, name in ipairs({'HGETALL', 'HKEYS', 'HVALS', 'HLEN'}) do
  redis.call(name, KEYS[1])
end
for _, name in ipairs({'HGET', 'HEXISTS', 'HDEL'}) do
  redis.call(name, KEYS[1], 'probe')
end
redis.call('GET', KEYS[2])
redis.call('EXISTS', KEYS[2])
redis.call('ZSCORE', KEYS[3], 'probe')
redis.call('ZMSCORE', KEYS[3], 'probe')
redis.call('ZRANGE', KEYS[3], 0, 0)
redis.call('ZCOUNT', KEYS[3], 0, 1)
redis.call('ZRANGEBYLEX', KEYS[3], '-', '+')
redis.call('ZREMRANGEBYSCORE', KEYS[3], 0, 1)
redis.call('SCAN', 0, 'COUNT', 1)
redis.call('PUBLISH', ARGV[1], '')
return redis.call('TIME')
