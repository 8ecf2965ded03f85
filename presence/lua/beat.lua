-- Renews a process's lease, and claims those that ran out.
-- KEYS[1] leases: sorted set, process -> end of its lease, milliseconds
-- KEYS[2] info: hash, process -> JSON that the process tells of itself
-- KEYS[3] dead: sorted set, process -> end of the claim of who reaps it; the
--         process `*` stands for all that are not known any more
-- ARGV[1] process    ARGV[2] lease, ms    ARGV[3] JSON
-- ARGV[4] now, ms; 0: Redis's clock    ARGV[5] how many to claim
-- Returns {1 where the lease was still known, {dead process, ...} claimed}.
-- Who is to be reaped stays dead, whatever beats of it are still on their way.
-- A claim ends like a lease does: another process goes on where a reaper dies.
-- No lease at all means that Redis is new or has lost its data. Who lives has
-- said so a lease later; what others hold then is to be looked for.
-- Caller: presence.leases.Leases.beat
local now = tonumber(ARGV[4])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZADD', KEYS[3], now + ARGV[2], '*')
end
local known = 0
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
end
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], process)
  redis.call('HDEL', KEYS[2], process)
  redis.call('ZADD', KEYS[3], 0, process)
end
local claimed = redis.call(
  'ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, tonumber(ARGV[5])
)
for _, process in ipairs(claimed) do
  redis.call('ZADD', KEYS[3], now + ARGV[2], process)
end
return {known, claimed}
