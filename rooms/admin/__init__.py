"""Beam's pages in Django admin: rooms, API keys, the live view.

- `action_pages`: the pages of actions: confirmed, allowed, logged
- `actions`: close, open, remove, unblock, disconnect, send
- `bulk_actions`: actions of the list: close or open many rooms
- `consumer`: the WebSocket of the admin's pages
- `forms`: the forms of actions
- `keys`: the pages of API keys
- `live_rows`: creates database rows of live rooms
- `live_view`: what the live view shows: events of a room, statistics
- `login_limits`: how often logins are tried, and how many at once
- `logins`: forms that check a password
- `page_data`: numbers and members on ordinary pages
- `room_list`: the list of rooms: columns, filter, numbers
- `rooms`: the page of a room
- `site`: the overview, the login, the page of the live view
- `time_series`: sums of reports per interval, for the charts
"""
