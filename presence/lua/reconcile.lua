-- Makes what Redis holds of a process agree with what the process holds.
-- ARGV[1] owner    ARGV[2] former owner, the same process under an older id
-- ARGV[3] how many entries the process holds    ARGV[4...] ref, group, JSON of each
-- then the refs in their grace period that the process will end
-- An entry that another process took over stays there. What scripts left that were
-- refused in the middle is put right.
-- Returns {version, {JSON, ...} that were missing, {JSON, ...} too many};
-- no change leaves the version.
-- Caller: presence.redis_tracker.RedisTracker.reconcile
local mine, came, gone = {}, {}, {}
local held = 3 + 3 * tonumber(ARGV[3])
for i = 4, held, 3 do
  local ref, group, body = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  mine[ref] = true
  local entry = redis.call('HGET', ENTRIES, ref)
  if not entry then
    add(ref, ARGV[1], group, body)
    came[#came + 1] = body
  elseif split(entry) == ARGV[2] and ARGV[1] ~= ARGV[2] then
    redis.call('HSET', ENTRIES, ref, ARGV[1] .. ' ' .. group .. ' ' .. body)
  end
end
for i = held + 1, #ARGV do
  mine[ARGV[i]] = true
end
local groups, entries = {}, redis.call('HGETALL', ENTRIES)
for i = 1, #entries, 2 do
  local ref, owner, group = entries[i], split(entries[i + 1])
  local ours = owner == ARGV[1] or owner == ARGV[2]
  if ours and not mine[ref] then
    gone[#gone + 1] = remove(ref)
  else
    groups[group] = (groups[group] or 0) + 1
  end
end
repair(groups)
if #came + #gone == 0 then
  return {version(), came, gone}
end
return {changed(), came, gone}
