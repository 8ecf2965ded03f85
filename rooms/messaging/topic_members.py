"""Owns the local members and observers of one topic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from presence.version_log import VersionLog
from rooms.messaging.member import Member

NONE: Final[frozenset[str]] = frozenset()


class TopicMembers:
    """The members and observers of one topic in this process.

    `recipients`: all of them, by id; both kinds get the same events.
    `intercepts`: the names of events that one of them may have intercepted.
    `version_log`: which changes of the topic's presence were delivered here.
    """

    __slots__ = ("_observers", "by_label", "intercepts", "recipients", "version_log")

    def __init__(self) -> None:
        self.recipients: dict[str, Member] = {}
        # The ids of observers.
        self._observers = NONE
        self.by_label: dict[str, dict[str, Member]] = {}
        self.intercepts = NONE
        self.version_log = VersionLog()

    @property
    def member_count(self) -> int:
        """The number of members, without observers."""
        return len(self.recipients) - len(self._observers)

    def add(self, member: Member) -> None:
        """Deliver to a member from now on."""
        self.recipients[member.id] = member
        if not member.intercepts <= self.intercepts:
            # The set of a class is shared by all topics: a new one takes 216 bytes.
            known = self.intercepts
            self.intercepts = known | member.intercepts if known else member.intercepts
        for label in member.labels:
            self.by_label.setdefault(label, {})[member.id] = member

    def add_observer(self, observer: Member) -> None:
        """Deliver to an observer from now on."""
        self._observers |= {observer.id}
        self.add(observer)

    def remove(self, recipient: Member) -> None:
        """Stop delivering to a member or an observer, if it is there."""
        if self.recipients.pop(recipient.id, None) is None:
            return
        if self._observers:
            self._observers -= {recipient.id}
        for label in recipient.labels:
            self.by_label[label].pop(recipient.id, None)
            if not self.by_label[label]:
                del self.by_label[label]

    def addressed(self, labels: Iterable[str]) -> dict[str, Member]:
        """The members that have one of the labels. Does not search the others."""
        found: dict[str, Member] = {}
        for label in labels:
            found |= self.by_label.get(label, {})
        return found
