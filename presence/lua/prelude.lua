-- The beginning of every script of a topic: its keys, and the functions they share.
-- KEYS[1] entries: hash, ref -> owner, digest of the group, and JSON {"key", "meta",
--         "at"}, separated by spaces; the owner is the process that holds the entry
-- KEYS[2] version: string, the number of the topic's last change
-- KEYS[3] leaving: hash, ref -> key, of entries in their grace period
-- KEYS[4] groups: hash, digest of a group -> number of its entries
-- KEYS[5] bans: sorted set, whom -> the end in milliseconds: 'closed' for all
--         keys, 'group:' and the digest of a group, 'key:' and a key
-- KEYS[6] weight: string, the bytes of all JSON; deleted with the last entry
local ENTRIES, VERSION, LEAVING, GROUPS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local BANS, WEIGHT = KEYS[5], KEYS[6]
local FOREVER = 9007199254740991

-- For how many seconds the version outlives the topic's last entry, so that a member
-- that is still joining never sees it start again. Longer than clocks jump.
local VERSION_SECONDS = 600

local function milliseconds()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- The reason for which the topic refuses a key, or nil.
local function refusal(key, group)
  if redis.call('EXISTS', BANS) == 0 then
    return nil
  end
  local names = {'closed', 'group:' .. group, 'key:' .. key}
  local now = milliseconds()
  for i, ends in ipairs(redis.call('ZMSCORE', BANS, unpack(names))) do
    if ends and tonumber(ends) > now then
      return i == 1 and 'closed' or 'blocked'
    end
  end
  return nil
end

-- The owner, the digest of the group, and the JSON of an entry.
local function split(entry)
  return string.match(entry, '^(%S+) (%S+) (.*)$')
end

-- The current version. A lost one starts at the clock, so that versions still ascend.
local function version()
  local known = redis.call('GET', VERSION)
  if not known then
    local now = redis.call('TIME')
    known = string.format('%d%06d', now[1], now[2])
    redis.call('SET', VERSION, known, 'EX', VERSION_SECONDS)
  end
  return tonumber(known)
end

-- Numbers a change: the new version.
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

-- The bytes of all JSON. They are added up only if the stored number was lost.
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

-- Adds an entry and counts it.
local function add(ref, owner, group, body)
  local before = weight()
  if redis.call('HSET', ENTRIES, ref, owner .. ' ' .. group .. ' ' .. body) == 1 then
    redis.call('HINCRBY', GROUPS, group, 1)
    redis.call('SET', WEIGHT, before + #body)
  end
end

-- Removes an entry. Returns its JSON, or false if there is no such entry.
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

-- Corrects the number of entries of each group, removes grace periods of entries that
-- do not exist, and has the bytes added up again.
-- groups: the correct numbers, by digest of the group
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

-- The reply of a script that removed entries: the version of the change, 0 if nothing
-- changed, and the JSON of the removed entries.
local function removed(gone)
  return {#gone > 0 and changed() or 0, gone}
end

