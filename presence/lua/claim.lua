-- Claims processes that were silent for too long, unless they were not since.
-- KEYS as in renew.lua
-- ARGV[1] the process that claims    ARGV[2] its claim
-- ARGV[3...] pairs: process, its count of renewals or its claim as it was seen
-- Returns the processes that are the claimer's to reap now. None if it is dead
-- itself.
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
