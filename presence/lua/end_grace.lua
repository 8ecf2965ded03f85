-- Removes entries that are in their grace period.
-- ARGV[1] whose: 'closed' for all keys, 'group:' and the digest of a group, 'key:' and
--         a key
-- Returns {version of the change, 0 if nothing changed; {JSON of removed entries}}.
-- Caller: presence.redis_tracker.RedisTracker.end_grace
local gone, leaving = {}, redis.call('HGETALL', LEAVING)
for i = 1, #leaving, 2 do
  local entry = redis.call('HGET', ENTRIES, leaving[i])
  if entry then
    local _, group = split(entry)
    if ARGV[1] == 'closed' or ARGV[1] == 'group:' .. group
      or ARGV[1] == 'key:' .. leaving[i + 1] then
      gone[#gone + 1] = remove(leaving[i])
    end
  end
end
return removed(gone)
