-- Takes away what a dead process left.
-- ARGV[1] owner
-- Returns {version of this change, {JSON, ...}}; no change leaves the version.
-- Caller: presence.redis_tracker.RedisTracker.reap
local gone, entries = {}, redis.call('HGETALL', ENTRIES)
for i = 1, #entries, 2 do
  if split(entries[i + 1]) == ARGV[1] then
    gone[#gone + 1] = remove(entries[i])
  end
end
return taken(gone)
