"""Relay: rooms, their members and the road of every event."""
