"""Channels: what a joined topic does. `Channel` is public, with what it raises."""

from rooms.channels.channel import NULL, Channel, Refused

__all__ = ["NULL", "Channel", "Refused"]
