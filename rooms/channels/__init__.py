"""Channels: what a joined topic does. `Channel` is public, with what it raises."""

from rooms.channels.channel import Channel
from rooms.channels.results import NULL, Refused

__all__ = ["NULL", "Channel", "Refused"]
