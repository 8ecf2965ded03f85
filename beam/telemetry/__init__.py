"""Metrics and logs.

- `log_summary`: sums up log lines that clients cause, above a rate
- `logs`: the format of log lines, the id of the request
- `metrics`: all counters and histograms of this process
"""
