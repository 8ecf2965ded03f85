-- Replaces an entry by another with a new ref; both in one change.
-- ARGV[1] old ref    ARGV[2] new ref    ARGV[3] owner    ARGV[4] group
-- ARGV[5] JSON
-- Returns {version of this change, old JSON}, or {0} where the old is gone.
-- Caller: presence.shared.RedisTracker.update
local old = remove(ARGV[1])
if not old then
  return {0}
end
add(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
return {changed(), old}
