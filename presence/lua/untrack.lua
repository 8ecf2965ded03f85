-- Removes entries.
-- ARGV[1] 1 to remove only entries that are in their grace period, else 0
-- ARGV[2...] refs
-- Returns {version of the change, 0 if nothing changed; {JSON of removed entries}}.
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
return removed(gone)
