"""What the database contains about rooms.

- `cleanup`: deletes unused rows and expired sessions
- `closed_rooms`: closes rooms in the database and the tracker
- `room_overrides`: settings of single rooms, from the database
- `room_policy`: the settings of a room
- `room_rows`: rows of rooms to be written
- `upkeep`: reads and writes the database at intervals
"""
