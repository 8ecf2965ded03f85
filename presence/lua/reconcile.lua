-- Makes what Redis holds of a process agree with what the process holds.
-- ARGV[1] owner    ARGV[2] former owner, the same process under an older id
-- ARGV[3...] ref, group, JSON, for each entry that the process holds
-- An entry that another process took over stays there; one in its grace period
-- is left to its timer.
-- Returns {version, {JSON, ...} that were missing, {JSON, ...} too many};
-- no change leaves the version.
-- Caller: presence.shared.RedisTracker.reconcile
local mine, came, gone = {}, {}, {}
for i = 3, #ARGV, 3 do
  local ref, group, body = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  mine[ref] = true
  local entry = redis.call('HGET', ENTRIES, ref)
  if not entry then
    add(ref, ARGV[1], group, body)
    came[#came + 1] = body
  elseif split(entry) == ARGV[2] then
    redis.call('HSET', ENTRIES, ref, ARGV[1] .. ' ' .. group .. ' ' .. body)
  end
end
local entries = redis.call('HGETALL', ENTRIES)
for i = 1, #entries, 2 do
  local ref, owner = entries[i], split(entries[i + 1])
  local ours = owner == ARGV[1] or owner == ARGV[2]
  if ours and not mine[ref] and redis.call('HEXISTS', LEAVING, ref) == 0 then
    gone[#gone + 1] = remove(ref)
  end
end
if #came + #gone == 0 then
  return {version(), came, gone}
end
return {changed(), came, gone}
