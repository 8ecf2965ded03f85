-- Makes the entries of a process in Redis agree with those that the process holds.
-- ARGV[1] owner: the process
-- ARGV[2] its former id, or its id again
-- ARGV[3] how many entries the process holds
-- ARGV[4...] ref, digest of the group, and JSON of each entry, then the refs of entries
--         whose grace period the process will end
-- An entry that another process took over stays there. Counts that a script left wrong,
-- because Redis refused a command in its middle, are corrected.
-- Returns {version, {JSON of added entries}, {JSON of removed entries}}. The version
-- changes only if entries were added or removed.
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
