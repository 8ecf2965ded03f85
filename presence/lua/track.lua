-- Adds one entry to a topic; returns the state as it was just before.
-- KEYS[1] entries: hash, ref -> entry (JSON {"key", "meta", "process"})
-- KEYS[2] version: string, the number of the topic's last change
-- ARGV[1] ref    ARGV[2] entry
-- Returns {version before, version of this change, {ref, entry, ...}}.
-- Caller: presence.tracker.RedisTracker.track
local entries = redis.call('HGETALL', KEYS[1])
local before = redis.call('GET', KEYS[2])
if not before then
  -- Starts at the clock, so that it grows across a Redis that lost it.
  local now = redis.call('TIME')
  before = string.format('%d%06d', now[1], now[2])
  redis.call('SET', KEYS[2], before)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PERSIST', KEYS[2])
local version = redis.call('INCR', KEYS[2])
return {tonumber(before), version, entries}
