-- Removes the entries of a dead process.
-- ARGV[1] owner: the dead process
-- Returns {version of the change, 0 if nothing changed; {JSON of removed entries}}.
-- Caller: presence.redis_tracker.RedisTracker.reap and reap_elsewhere
local gone, entries = {}, redis.call('HGETALL', ENTRIES)
for i = 1, #entries, 2 do
  if split(entries[i + 1]) == ARGV[1] then
    gone[#gone + 1] = remove(entries[i])
  end
end
return removed(gone)
