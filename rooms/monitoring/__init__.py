"""Statistics, recent events, warnings, and log lines that clients cause."""
