-- Takes entries from a topic; returns those that were there.
-- KEYS[1] entries    KEYS[2] version    (as in track.lua)
-- ARGV[1] seconds that the version outlives the last entry
-- ARGV[2...] refs
-- Returns {version of this change, {entry, ...}}; no change leaves the version.
-- Caller: presence.tracker.RedisTracker.untrack
local gone = {}
for i = 2, #ARGV do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  if entry then
    redis.call('HDEL', KEYS[1], ARGV[i])
    gone[#gone + 1] = entry
  end
end
if #gone == 0 then
  return {0, gone}
end
local version = redis.call('INCR', KEYS[2])
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('EXPIRE', KEYS[2], ARGV[1])
end
return {version, gone}
