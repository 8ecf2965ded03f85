"""Owns the local members of one topic, by id and by label."""

from __future__ import annotations

from collections.abc import Iterable

from presence.version_log import VersionLog
from rooms.messaging.member import Member


class TopicMembers:
    """The members of one topic in this process.

    `counted`: how many of them count. `intercepts`: the names of events that a
    member may have intercepted. `version_log`: which changes of the topic's
    presence were delivered here.
    """

    __slots__ = ("by_label", "counted", "intercepts", "members", "version_log")

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.counted = 0
        self.by_label: dict[str, dict[str, Member]] = {}
        self.intercepts: frozenset[str] = frozenset()
        self.version_log = VersionLog()

    def add(self, member: Member) -> None:
        """Deliver to a member from now on."""
        self.members[member.id] = member
        self.counted += member.counts
        self.intercepts |= member.intercepts
        for label in member.labels:
            self.by_label.setdefault(label, {})[member.id] = member

    def remove(self, member: Member) -> bool:
        """Deliver to a member no more; whether it was there."""
        if self.members.pop(member.id, None) is None:
            return False
        self.counted -= member.counts
        for label in member.labels:
            self.by_label[label].pop(member.id, None)
            if not self.by_label[label]:
                del self.by_label[label]
        return True

    def addressed(self, labels: Iterable[str]) -> dict[str, Member]:
        """The members that have one of the labels; looks at no others."""
        found: dict[str, Member] = {}
        for label in labels:
            found |= self.by_label.get(label, {})
        return found
