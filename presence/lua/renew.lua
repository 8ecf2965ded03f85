-- Counts a renewal of a process's lease, and reads the counts of all processes.
-- KEYS[1] renewals: hash, live process -> the number of its renewals
-- KEYS[2] reports: hash, live process -> the JSON that it reports about itself
-- KEYS[3] claims: hash, dead process -> its claim: 'by PROCESS N', the process that
--         reaps it and the count of that process, or 'after SECONDS', for how long the
--         claim must be observed first; the process '*' stands for all processes that
--         own entries and are in no hash
-- ARGV[1] process
-- ARGV[2] its JSON
-- ARGV[3] 1 until a renewal under this id was answered, else 0
-- ARGV[4] the claim of '*' if Redis knows no live process
-- Returns {1 if the process was known, else 0; renewals; claims}, the hashes as flat
-- lists.
-- A process that has a claim stays dead, even if a late renewal of it arrives. If no
-- process is known, Redis is new or lost its data: live processes renew before the
-- claim of '*' is due.
-- Caller: presence.leases.Leases.renew and renew_if_due
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
