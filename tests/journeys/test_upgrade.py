"""A database of an earlier version is migrated without loss.

`upgrade/sqlite.sql` and `upgrade/postgresql.sql` are databases of commit 2ba97bc, with
rows of every model. They were made in a working tree of that commit (`git worktree
add`) with `manage.py migrate` and `manage.py shell < fill.py`, and dumped with
`sqlite3.Connection.iterdump` and `pg_dump --inserts --no-owner --no-privileges`,
the latter without comments and psql commands.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest

from tests.conftest import Serve
from tests.postgres import postgres
from tests.processes import ROOT, Server

OLD = Path(__file__).parent / "upgrade"
PASSWORD = "a-password-of-tests"
TABLES = {
    # Without SQLite's own tables, which count the rows of the others.
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' "
    "AND name NOT LIKE 'sqlite%'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
}


@dataclass
class Database:
    """A database of the earlier version. `target`: what its driver connects to."""

    kind: str
    url: str
    target: str

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """A connection of the driver, closed at the end."""
        driver: Any = sqlite3 if self.kind == "sqlite" else psycopg
        with closing(driver.connect(self.target)) as connection:
            yield connection

    def fill(self) -> None:
        """Run the SQL of the earlier version."""
        sql = (OLD / f"{self.kind}.sql").read_text()
        with self.connect() as connection:
            if self.kind == "sqlite":
                connection.executescript(sql)
            else:
                connection.execute(sql)
            connection.commit()

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of every table."""
        with self.connect() as connection:
            names = [name for (name,) in connection.execute(TABLES[self.kind])]
            return {name: _rows(connection, name) for name in names}

    def migrate(self) -> None:
        """Apply today's migrations."""
        env = {"DATABASE_URL": self.url, "DJANGO_SETTINGS_MODULE": "beam.settings"}
        for options in (["--verbosity", "0"], ["--check"]):
            subprocess.run(
                [sys.executable, "manage.py", "migrate", *options],
                cwd=ROOT,
                env=os.environ | env | {"DEBUG": "1"},
                check=True,
            )


def _rows(connection: Any, table: str) -> list[dict[str, Any]]:
    cursor = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor]


@pytest.fixture(params=list(TABLES))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of the earlier version, not migrated yet."""
    if request.param == "sqlite":
        file = tmp_path / "beam.sqlite3"
        database = Database("sqlite", f"sqlite:///{file}", str(file))
        database.fill()
        yield database
        return
    with postgres() as server:
        url = server.url()
        database = Database("postgresql", url, url)
        database.fill()
        yield database


def test_no_row_is_lost(old: Database) -> None:
    before = old.tables()

    old.migrate()
    after = old.tables()

    assert {len(before[table]) for table in ("rooms_room", "rooms_apikey")} == {5, 3}
    for table, rows in before.items():
        # A migration may add columns, and change none of these.
        kept = [{name: row[name] for name in rows[0]} for row in after[table] if rows]
        assert [row for row in rows if row not in kept] == [], table


def test_keys_rooms_and_admins_work_as_before(
    old: Database, beam_server: Serve
) -> None:
    old.migrate()
    [session] = [row["session_key"] for row in old.tables()["django_session"]]
    server = beam_server(DATABASE_URL=old.url, BEAM_ROOM_CAPACITY="3")

    def get(path: str, key: str = "billing") -> httpx.Response:
        headers = {"authorization": f"Bearer beam_{key}"}
        return httpx.get(f"{server.url}{path}", headers=headers)

    # API keys: in force, with another scope, revoked.
    assert get("/api/v1/rooms").status_code == 200
    assert get("/api/v1/rooms", "scraper").status_code == 403
    assert get("/metrics", "scraper").status_code == 200
    assert get("/api/v1/rooms", "revoked").status_code == 401

    # Rooms: one is closed, two have settings of their own.
    rooms = ("lobby", "closed/één 💬", "limited", "unlimited")
    found = [get(f"/api/v1/rooms/{quote(each, safe='')}").json() for each in rooms]
    assert [room["open"] for room in found] == [True, False, True, True]
    limits = [
        (each["limits"]["capacity"], each["limits"]["presence_grace"]) for each in found
    ]
    assert limits == [(3, 0.0), (3, 0.0), (7, 2.5), (None, 0.0)]

    # Admins: a session that was open, passwords, and rights of users and groups.
    cookies = {"beam_sessionid": session}
    page = httpx.get(f"{server.url}/admin/rooms/room/", cookies=cookies)
    assert page.status_code == 200
    for name, moderates in (("root", True), ("mod", True), ("reader", False)):
        assert ('/room/1/close/"' in room_page(server, name)) is moderates


def room_page(server: Server, user: str) -> str:
    """The admin's page of the first room, for a user that logs in."""
    path = "/admin/rooms/room/1/change/"
    with httpx.Client(base_url=server.url, follow_redirects=True) as browser:
        browser.get("/admin/login/")
        form = {
            "username": user,
            "password": PASSWORD,
            "next": path,
            "csrfmiddlewaretoken": browser.cookies["beam_csrftoken"],
        }
        page = browser.post("/admin/login/", data=form)
    assert (page.status_code, page.url.path) == (200, path)
    return page.text
