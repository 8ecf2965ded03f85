-- What every script of a topic begins with: its keys, and the steps they share.
-- KEYS[1] entries: hash, ref -> owner, group and JSON {"key", "meta", "at"},
--         separated by spaces; the owner is the process that holds the entry
-- KEYS[2] version: string, the number of the topic's last change
-- KEYS[3] leaving: hash, ref -> key, for the entries in their grace period
-- KEYS[4] groups: hash, group -> number of its entries
-- KEYS[5] gate: sorted set, for whom it is shut -> until when, milliseconds:
--         'closed' for everybody, 'group:' and a group, 'key:' and a key
-- KEYS[6] weight: string, the bytes of all JSON; gone with the last entry
local ENTRIES, VERSION, LEAVING, GROUPS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local GATE, WEIGHT = KEYS[5], KEYS[6]
local FOREVER = 9007199254740991

-- Seconds that a version outlives its topic's last entry, so that a member
-- that is still joining never sees it begin again. Longer than clocks jump.
local VERSION_SECONDS = 600

local function milliseconds()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- Why somebody may not enter, or nil.
local function refusal(key, group)
  if redis.call('EXISTS', GATE) == 0 then
    return nil
  end
  local names = {'closed', 'group:' .. group, 'key:' .. key}
  local now = milliseconds()
  for i, ends in ipairs(redis.call('ZMSCORE', GATE, unpack(names))) do
    if ends and tonumber(ends) > now then
      return i == 1 and 'closed' or 'blocked'
    end
  end
  return nil
end

local function split(entry)
  return string.match(entry, '^(%S+) (%S+) (.*)$')
end

-- The version as it is; one that was lost starts at the clock, so that it grows.
local function version()
  local known = redis.call('GET', VERSION)
  if not known then
    local now = redis.call('TIME')
    known = string.format('%d%06d', now[1], now[2])
    redis.call('SET', VERSION, known, 'EX', VERSION_SECONDS)
  end
  return tonumber(known)
end

-- Numbers a change.
local function changed()
  version()
  local now = redis.call('INCR', VERSION)
  if redis.call('EXISTS', ENTRIES) == 1 then
    redis.call('PERSIST', VERSION)
  else
    redis.call('EXPIRE', VERSION, VERSION_SECONDS)
  end
  return now
end

-- The JSON of all entries.
local function bodies()
  local found = redis.call('HVALS', ENTRIES)
  for i, entry in ipairs(found) do
    local _, _, body = split(entry)
    found[i] = body
  end
  return found
end

-- The bytes of all JSON: kept, and added up only if that was lost.
local function weight()
  local known = tonumber(redis.call('GET', WEIGHT) or -1)
  if known < 0 then
    known = 0
    for _, body in ipairs(bodies()) do
      known = known + #body
    end
  end
  return known
end

local function add(ref, owner, group, body)
  local before = weight()
  if redis.call('HSET', ENTRIES, ref, owner .. ' ' .. group .. ' ' .. body) == 1 then
    redis.call('HINCRBY', GROUPS, group, 1)
    redis.call('SET', WEIGHT, before + #body)
  end
end

-- Takes an entry away; its JSON, or false where it was not there.
local function remove(ref)
  local entry = redis.call('HGET', ENTRIES, ref)
  if not entry then
    return false
  end
  local before = weight()
  local _, group, body = split(entry)
  redis.call('HDEL', ENTRIES, ref)
  redis.call('HDEL', LEAVING, ref)
  if redis.call('HINCRBY', GROUPS, group, -1) <= 0 then
    redis.call('HDEL', GROUPS, group)
  end
  if redis.call('EXISTS', ENTRIES) == 1 then
    redis.call('SET', WEIGHT, before - #body)
  else
    redis.call('DEL', WEIGHT)
  end
  return body
end

-- Corrects the number of entries of each group, forgets grace periods of entries
-- that are gone, and has the bytes added up again.
local function repair(groups)
  redis.call('DEL', WEIGHT)
  local known = redis.call('HGETALL', GROUPS)
  for i = 1, #known, 2 do
    if not groups[known[i]] then
      redis.call('HDEL', GROUPS, known[i])
    elseif groups[known[i]] == tonumber(known[i + 1]) then
      groups[known[i]] = nil
    end
  end
  for group, number in pairs(groups) do
    redis.call('HSET', GROUPS, group, number)
  end
  for _, ref in ipairs(redis.call('HKEYS', LEAVING)) do
    if redis.call('HEXISTS', ENTRIES, ref) == 0 then
      redis.call('HDEL', LEAVING, ref)
    end
  end
end

-- What a script that took entries away answers: the version of this change, 0
-- for none, and their JSON.
local function taken(gone)
  return {#gone > 0 and changed() or 0, gone}
end

