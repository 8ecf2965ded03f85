-- Counts a process's renewal, and reads what all processes have counted.
-- KEYS[1] beats: hash, process -> number of its renewals; these processes live
-- KEYS[2] about: hash, process -> JSON that it reports of itself
-- KEYS[3] claims: hash, dead process -> 'by PROCESS N', the process that reaps it,
--         or 'after SECONDS', which must be observed first; the process `*` stands
--         for all that are not known any more
-- ARGV[1] process    ARGV[2] JSON    ARGV[3] '1' until it was counted under this id
-- ARGV[4] the claim of `*` where Redis knows no process
-- Returns {1 if the process was known, beats, claims}, both as pairs.
-- A process that is to be reaped stays dead, whatever renewals of it are still on
-- their way. No process at all means that Redis is new or has lost its data: those
-- that live have renewed before the claim of `*` is due.
-- Caller: presence.leases.Leases.renew
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSETNX', KEYS[3], '*', ARGV[4])
end
local known = redis.call('HEXISTS', KEYS[1], ARGV[1])
local dead = redis.call('HEXISTS', KEYS[3], ARGV[1])
if dead == 1 then
  known = 0
elseif known == 1 or ARGV[3] == '1' then
  redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
return {known, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[3])}
