-- Adds an entry, or takes over one of the same key in its grace period.
-- ARGV[1] ref    ARGV[2] owner    ARGV[3] group    ARGV[4] JSON    ARGV[5] key
-- How much the topic may have, 0 for any number:
-- ARGV[6] entries    ARGV[7] entries of the group    ARGV[8] bytes of all JSON
-- Returns {version before, version now, {JSON, ...} before, ref taken over, there};
-- the ref is '' for a new entry, else nothing changed. {reason, there} if the key
-- may not enter. `there` is 1 if Redis had the entry already: `reconcile` adds it if
-- it runs between the first call of this script, which Redis did not know yet, and
-- the second.
-- Caller: presence.redis_tracker.RedisTracker.track
local there = redis.call('HEXISTS', ENTRIES, ARGV[1])
local reason = refusal(ARGV[5], ARGV[3])
if reason then
  return {reason, there}
end

local function others()
  local found = bodies()
  if there == 0 then
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
    return {before, before, here, ref, there}
  end
end
local most, of_group, size = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if most > 0 and redis.call('HLEN', ENTRIES) - there >= most then
  return {'full', there}
end
local in_group = tonumber(redis.call('HGET', GROUPS, ARGV[3]) or 0)
if of_group > 0 and in_group - there >= of_group then
  return {'group_full', there}
end
if size > 0 and weight() + #ARGV[4] * (1 - there) > size then
  return {'too_large', there}
end
local before, here = version(), others()
add(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return {before, changed(), here, '', there}
