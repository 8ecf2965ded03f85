-- Adds an entry, or takes over an entry of the same key in its grace period.
-- ARGV[1] ref
-- ARGV[2] owner: the process that adds it
-- ARGV[3] digest of the group
-- ARGV[4] JSON
-- ARGV[5] key
-- ARGV[6] how many entries the topic may have; 0 for any number, also below
-- ARGV[7] how many entries the group may have
-- ARGV[8] how many bytes all JSON may have
-- Returns {version before, version now, {JSON of the entries before}, ref of the entry
-- that was taken over or '', existed}. If one was taken over, nothing changed.
-- Returns {reason, existed} if the topic refuses the key.
-- `existed` is 1 if Redis had the entry already. That happens if Redis did not know this
-- script at its first call, and `reconcile` added the entry before the second.
-- Caller: presence.redis_tracker.RedisTracker.track
local existed = redis.call('HEXISTS', ENTRIES, ARGV[1])
local reason = refusal(ARGV[5], ARGV[3])
if reason then
  return {reason, existed}
end

local function others()
  local found = bodies()
  if existed == 0 then
    return found
  end
  local rest = {}
  for _, body in ipairs(found) do
    if body ~= ARGV[4] then
      rest[#rest + 1] = body
    end
  end
  return rest
end

local leaving = redis.call('HGETALL', LEAVING)
for i = 1, #leaving, 2 do
  local ref, entry = leaving[i], redis.call('HGET', ENTRIES, leaving[i])
  if leaving[i + 1] == ARGV[5] and entry then
    local before, here = version(), others()
    local _, group, body = split(entry)
    redis.call('HSET', ENTRIES, ref, ARGV[2] .. ' ' .. group .. ' ' .. body)
    redis.call('HDEL', LEAVING, ref)
    return {before, before, here, ref, existed}
  end
end
local most, of_group, size = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if most > 0 and redis.call('HLEN', ENTRIES) - existed >= most then
  return {'full', existed}
end
local in_group = tonumber(redis.call('HGET', GROUPS, ARGV[3]) or 0)
if of_group > 0 and in_group - existed >= of_group then
  return {'group_full', existed}
end
if size > 0 and weight() + #ARGV[4] * (1 - existed) > size then
  return {'too_large', existed}
end
local before, here = version(), others()
add(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return {before, changed(), here, '', existed}
