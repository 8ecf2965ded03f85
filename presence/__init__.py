"""Who is present in a topic. Independent of rooms; returns diffs and never sends."""
