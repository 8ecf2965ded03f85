"""The forms of `REDIS_URL`, and its errors."""

from __future__ import annotations

from traceback import format_exception

import pytest

from beam.config.redis_url import BadUrl, Master, channel_prefix, database, parse


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://user:password@localhost:6380/1",
        "rediss://:password@localhost?ssl_ca_certs=/ca.pem",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_one_server_is_read_by_redis_py(url: str) -> None:
    assert parse(url) == url


def test_sentinels_and_a_service() -> None:
    assert parse("redis+sentinel://one,two:7000,[::1]:7001/beam") == Master(
        "beam", (("one", 26379), ("two", 7000), ("::1", 7001)), {"db": 0}, {}
    )


def test_users_and_passwords_of_the_master_and_of_the_sentinels() -> None:
    found = parse(
        "redis+sentinel://ada:p%40ss@one/beam/3"
        "?sentinel_username=eve&sentinel_password=other"
    )

    assert isinstance(found, Master)
    assert found.options == {"username": "ada", "password": "p@ss", "db": 3}
    assert found.sentinel_options == {"username": "eve", "password": "other"}


def test_tls_to_the_master_and_to_the_sentinels() -> None:
    found = parse("rediss+sentinel://one/beam?ssl_ca_certs=/ca.pem")

    assert isinstance(found, Master)
    assert found.options == {"db": 0, "ssl": True, "ssl_ca_certs": "/ca.pem"}
    assert found.sentinel_options == {"ssl": True, "ssl_ca_certs": "/ca.pem"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("localhost:6379", "must begin with one of redis://, rediss://, unix://"),
        ("http://localhost", "+sentinel://, not 'http'"),
        ("redis+sentinel://one", "must name the service"),
        ("redis+sentinel:///beam", "host of a Sentinel is missing"),
        ("redis+sentinel://one:port/beam", "port"),
        ("redis://localhost:port", "port"),
        ("redis://localhost/one", "database must be a whole number"),
        ("redis://localhost/-1", "database must be a whole number"),
        ("rediss://localhost?db=-1", "database must be a whole number"),
        ("redis://localhost?db=one", "db"),
        ("unix:///run/redis.sock?db=-1", "database must be a whole number"),
        ("redis+sentinel://one/beam/two", "database must be a whole number"),
        ("redis+sentinel://one/beam?db=-1", "database must be a whole number"),
        ("redis://user:password@localhost?socket_timeout=long", "socket_timeout"),
    ],
)
def test_an_invalid_url_is_explained_without_its_password(
    url: str, expected: str
) -> None:
    with pytest.raises(BadUrl) as caught:
        parse(url)

    assert expected in str(caught.value)
    assert "user:password" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "user:sesame@localhost:6379",
        "redis://user:sesame/b@localhost",
        "redis://:sesame#b@localhost",
        "redis://:[sesame]b@localhost",
        "redis://:sesame\N{ACCOUNT OF}@localhost",
        "redis+sentinel://:sesame/b@localhost/beam",
        "redis+sentinel://:[sesame]b@localhost/beam",
        "redis+sentinel://one:sesame/beam",
    ],
)
def test_no_part_of_a_password_is_quoted(url: str) -> None:
    with pytest.raises(BadUrl) as caught:
        parse(url)

    assert "sesame" not in "".join(format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("redis://localhost", 0),
        ("redis://localhost/", 0),
        ("redis://localhost:6379/0", 0),
        ("redis://user:p%40ss@localhost:6379/7", 7),
        ("redis://localhost/3/", 3),
        ("redis://localhost/3?db=4", 4),
        ("REDIS://localhost/3", 3),
        ("rediss://localhost/2?ssl_ca_certs=/ca.pem", 2),
        ("unix:///run/redis.sock", 0),
        ("unix://user:pass@/run/redis.sock?db=5", 5),
        ("redis+sentinel://one,two:7000/beam", 0),
        ("redis+sentinel://one,two:7000/beam/6", 6),
        ("rediss+sentinel://:pass@one,[::1]:7001/beam?db=8", 8),
    ],
)
def test_the_database_is_known_for_every_form(url: str, number: int) -> None:
    assert database(url) == number
    assert channel_prefix("beam", url) == f"beam:{number}:"
