"""Who is here. Knows nothing of rooms; returns diffs and never sends."""
