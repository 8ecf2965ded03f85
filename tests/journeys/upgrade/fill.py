"""Fills an empty, migrated database with rows of every model.

Run by an old commit's `manage.py shell`; `tests/journeys/test_upgrade.py` says how.
It imports only names that are the same in the old and in today's code.
"""

from datetime import UTC, datetime
from hashlib import sha256

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from rooms.models import ApiKey, Room

PASSWORD = "a-password-of-tests"
WHEN = datetime(2026, 11, 25, 4, 30, tzinfo=UTC)

root = User.objects.create_superuser("root", "root@example.com", PASSWORD)
rights = Permission.objects.filter(codename__in=["view_room", "steer_room"])
moderators = Group.objects.create(name="moderators")
moderators.permissions.set(rights)
moderator = User.objects.create_user("mod", password=PASSWORD, is_staff=True)
moderator.groups.set([moderators])
reader = User.objects.create_user("reader", password=PASSWORD, is_staff=True)
reader.user_permissions.set(rights.filter(codename="view_room"))

plain = Room.objects.create(room_id="lobby", created=WHEN, last_joined=WHEN)
Room.objects.create(room_id="closed/één 💬", closed=True, created=WHEN)
Room.objects.create(room_id="never joined", created=WHEN)
Room.objects.create(room_id="limited", capacity=7, presence_grace=2.5, created=WHEN)
Room.objects.create(room_id="unlimited", capacity=0, presence_grace=0.0, created=WHEN)

for name, scopes, used, revoked in (
    ("billing", ["events:write", "rooms:read"], WHEN, None),
    ("scraper", ["metrics:read"], None, None),
    ("revoked", ["rooms:read"], WHEN, WHEN),
):
    hashed = sha256(f"beam_{name}".encode()).hexdigest()
    ApiKey.objects.create(
        name=name, hashed=hashed, scopes=scopes, last_used=used, revoked=revoked
    )

browser = Client()
browser.force_login(root)
session = browser.session
session.set_expiry(datetime(2100, 1, 1, tzinfo=UTC))
session.save()
LogEntry.objects.create(
    user=root,
    content_type=ContentType.objects.get_for_model(Room),
    object_id=str(plain.pk),
    object_repr=str(plain),
    action_flag=CHANGE,
    change_message="Closed.",
    action_time=WHEN,
)
