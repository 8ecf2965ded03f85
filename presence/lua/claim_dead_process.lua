-- Claims dead processes, unless they renewed in the meantime.
-- KEYS as in renew.lua
-- ARGV[1] the process that claims
-- ARGV[2] its claim
-- ARGV[3...] pairs: a dead process, and its count of renewals or its claim when it was
--         observed
-- Returns the claimed processes. None if the process that claims is dead itself.
-- Caller: presence.leases.Leases.renew
local claimed = {}
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return claimed
end
for i = 3, #ARGV, 2 do
  local process, seen = ARGV[i], ARGV[i + 1]
  local now = redis.call('HGET', KEYS[3], process)
    or redis.call('HGET', KEYS[1], process)
  if now == seen then
    redis.call('HSET', KEYS[3], process, ARGV[2])
    redis.call('HDEL', KEYS[1], process)
    redis.call('HDEL', KEYS[2], process)
    claimed[#claimed + 1] = process
  end
end
return claimed
