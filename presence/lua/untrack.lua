-- Takes entries away; returns those that were there.
-- ARGV[1] '1': only those in their grace period    ARGV[2...] refs
-- Returns {version of this change, {JSON, ...}}; no change leaves the version.
-- Caller: presence.redis_tracker.RedisTracker.untrack and expire
local gone = {}
for i = 2, #ARGV do
  if ARGV[1] ~= '1' or redis.call('HEXISTS', LEAVING, ARGV[i]) == 1 then
    local body = remove(ARGV[i])
    if body then
      gone[#gone + 1] = body
    end
  end
end
return taken(gone)
