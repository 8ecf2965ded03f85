-- Adds an entry, or takes over one of the same key in its grace period.
-- ARGV[1] ref    ARGV[2] owner    ARGV[3] group    ARGV[4] JSON    ARGV[5] key
-- ARGV[6] how many entries the topic may have; 0: any number
-- Returns {version before, version now, {JSON, ...} before, ref taken over};
-- the last is '' for a new entry, else nothing changed. {reason} where the key
-- may not enter.
-- Caller: presence.shared.RedisTracker.track
local reason = barred(ARGV[5], ARGV[3])
if reason then
  return {reason}
end
local before, here = version(), bodies()
local leaving = redis.call('HGETALL', LEAVING)
for i = 1, #leaving, 2 do
  local ref, entry = leaving[i], redis.call('HGET', ENTRIES, leaving[i])
  if leaving[i + 1] == ARGV[5] and entry then
    local _, group, body = split(entry)
    redis.call('HSET', ENTRIES, ref, ARGV[2] .. ' ' .. group .. ' ' .. body)
    redis.call('HDEL', LEAVING, ref)
    return {before, before, here, ref}
  end
end
if tonumber(ARGV[6]) > 0 and #here >= tonumber(ARGV[6]) then
  return {'full'}
end
add(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return {before, changed(), here, ''}
