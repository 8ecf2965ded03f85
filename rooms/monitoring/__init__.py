"""Statistics, recent events, warnings, and log lines that clients cause.

- `activity`: the interface to the recent activity
- `activity_buffer`: activity that is not yet reported
- `activity_records`: what is kept, how much, how long
- `client_log`: ends of connections, refusals, crashes in the log
- `host_stats`: shares statistics between processes of this host
- `local_activity`: recent activity in memory
- `process_stats`: counters and gauges of this process
- `redis_activity`: recent activity in Redis
- `reporter`: reports statistics and activity at intervals
- `stats_json`: reads the statistics of another process
- `warnings`: the warnings that admins see
"""
