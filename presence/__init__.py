"""Who is present in a topic. Independent of rooms; returns diffs and never sends.

- `admission`: whether a topic admits a key: bans, full, limits
- `apps`: the Django app
- `cluster`: reaps the entries of dead processes, restores own ones
- `entry`: the ref and the JSON of one entry
- `entry_owners`: which processes own the entries in Redis
- `factory`: creates the tracker: in memory, or in Redis with a lease
- `leases`: the lease of this process, and expired leases of others
- `local_bans`: bans in memory, and when they end
- `local_tracker`: the tracker in memory
- `missed_changes`: topics of which this process missed changes
- `own_entries`: the entries of this process
- `process_index`: in Redis, the topics in which a process has entries
- `redis_keys`: the names of Redis keys
- `redis_tracker`: the tracker in Redis; calls the scripts in `lua`
- `silence`: how long processes have been silent, without a shared clock
- `state`: states and diffs, and how they combine
- `topic_index`: topics that have members, page by page
- `tracker`: the interface of a tracker
- `version_log`: which changes of a topic were delivered here
"""
