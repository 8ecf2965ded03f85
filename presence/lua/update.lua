-- Replaces an entry by another with a new ref; both in one change.
-- ARGV[1] old ref    ARGV[2] new ref    ARGV[3] owner    ARGV[4] group
-- ARGV[5] JSON
-- Returns {version of this change, old JSON}, or {0} where the old is gone.
-- Caller: presence.shared.RedisTracker.update
if redis.call('HEXISTS', ENTRIES, ARGV[1]) == 0 then
  return {0}
end
-- First what a Redis without memory refuses, before anything is lost.
add(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
local old = remove(ARGV[1])
return {changed(), old}
