"""The system checks of the settings."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.config.checks import KINDS, POLICIES, check_settings
from beam.config.conf import Conf
from rooms.records.room_policy import Policy

PEM = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
NUMBERS = {
    item.name: item.default
    for item in fields(Conf)
    if isinstance(item.default, int | float)
}
NO_CHANNEL = {"x:*": "rooms.channels.channel.Missing"}


@pytest.fixture(autouse=True)
def development(settings: Settings) -> None:
    """pytest-django turns DEBUG off; with it on, secrets may be short."""
    settings.DEBUG = True


def ids(settings: Settings, **given: Any) -> list[str | None]:
    """The ids of the problems of these settings."""
    settings.BEAM = settings.BEAM | given
    return [problem.id for problem in check_settings()]


def test_the_defaults_have_no_problems(settings: Settings) -> None:
    assert check_settings() == []

    settings.BEAM = {}
    assert check_settings() == []


def test_every_other_setting_has_a_kind() -> None:
    others = {str(item.type) for item in fields(Conf) if item.name not in NUMBERS}

    assert others == set(KINDS)


def test_every_policy_has_a_setting() -> None:
    assert set(POLICIES) == {item.name for item in fields(Policy)}
    assert set(POLICIES.values()) <= set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, "5", True])
def test_an_absurd_number_is_an_error(
    settings: Settings, name: str, value: object
) -> None:
    assert ids(settings, **{name: value}) == ["beam.E002"]


@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "token_grace"])
@pytest.mark.parametrize("value", [-1, -100])
def test_only_token_grace_may_be_negative(
    settings: Settings, name: str, value: int
) -> None:
    assert ids(settings, **{name: value}) == ["beam.E002"]


@pytest.mark.parametrize(
    "name", [name for name, default in NUMBERS.items() if type(default) is int]
)
def test_counts_must_be_whole_numbers(settings: Settings, name: str) -> None:
    assert ids(settings, **{name: 2.5}) == ["beam.E002"]


def test_an_error_of_a_number_says_what_is_accepted(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"token_leeway": math.nan, "drain_batch": 0}

    assert [problem.msg for problem in check_settings()] == [
        "BEAM['token_leeway'] must be a number from 0 to 86,400, not nan.",
        "BEAM['drain_batch'] must be a whole number from 1 to 1,000,000,000, not 0.",
    ]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"max_chanels": 5}, "beam.E001"),
        ({"max_channels": 0}, "beam.E002"),
        ({"idle_timeout": -1}, "beam.E002"),
        ({"token_grace": 86_401}, "beam.E002"),
        ({"join_burst": 0.5}, "beam.E002"),
        ({"max_message_depth": 5_000}, "beam.E003"),
        ({"lease_seconds": 6.0}, "beam.E003"),
        ({"max_message_bytes": 2_000_000}, "beam.E003"),
        ({"redis_url": "localhost:6379"}, "beam.E004"),
        ({"token_public_key": "secret"}, "beam.E005"),
        ({"metrics_allow": "everybody"}, "beam.E006"),
        ({"proxy_networks": "10.0.0.1/8"}, "beam.E006"),
        ({"redis_prefix": None}, "beam.E007"),
        ({"redis_prefix": ""}, "beam.E014"),
        ({"redis_prefix": "beam*"}, "beam.E014"),
        ({"redis_prefix": "two words"}, "beam.E014"),
        ({"redis_prefix": "{beam}"}, "beam.E014"),
        ({"redis_prefix": "beam\n"}, "beam.E014"),
        ({"redis_prefix": "b\u00e9am"}, "beam.E014"),
        ({"redis_prefix": "b" * 65}, "beam.E014"),
        ({"token_secrets": "one string is not a tuple of strings"}, "beam.E007"),
        ({"api_secrets": ("good", "")}, "beam.E007"),
        ({"allowed_origins": "example.com"}, "beam.E007"),
        ({"channels": {"x:*": 5}}, "beam.E007"),
        ({"room_policies": {"*": 5}}, "beam.E007"),
        ({"backend_url": "backend.test"}, "beam.E008"),
        ({"backend_url": "ftp://backend.test"}, "beam.E008"),
        ({"backend_url": "http://"}, "beam.E008"),
        ({"backend_url": "http://backend.test:port"}, "beam.E008"),
        ({"backend_url": "http://backend.test/a b"}, "beam.E008"),
        ({"token_jwks_url": "https://[::1/keys"}, "beam.E008"),
        ({"token_jwks_url": "file:///keys.json"}, "beam.E008"),
        ({"verifier": "rooms.auth.verifier.missing"}, "beam.E009"),
        ({"verifier": "missing.verifier"}, "beam.E009"),
        ({"verifier": ""}, "beam.E009"),
        ({"verifier": ".verifier"}, "beam.E009"),
        ({"verifier": "rooms.auth.verifier.MAX_TOKEN"}, "beam.E009"),
        ({"channels": NO_CHANNEL}, "beam.E009"),
        ({"token_user_claim": ""}, "beam.E010"),
        ({"token_room_claim": " "}, "beam.E010"),
        ({"token_user_claim": "id", "token_room_claim": "id"}, "beam.E010"),
        ({"token_user_claim": "room_id", "token_room_claim": "r"}, "beam.E010"),
        ({"room_policies": {"*": {"history": 5}}}, "beam.E011"),
        ({"room_policies": {"*": {"capacity": -1}}}, "beam.E011"),
        ({"room_policies": {"*": {"capacity": 1.5}}}, "beam.E011"),
        ({"room_policies": {"*": {"presence_grace": math.nan}}}, "beam.E011"),
        ({"token_secrets": (PEM,)}, "beam.E012"),
        ({"token_secrets": ("s" * 32, "ssh-rsa AAAA" * 9)}, "beam.E012"),
        ({"allowed_origins": ("a.test", "https://a.test/path")}, "beam.E013"),
        ({"allowed_origins": ("https://",)}, "beam.E013"),
    ],
)
def test_invalid_settings_are_errors(
    settings: Settings, given: dict[str, Any], code: str
) -> None:
    assert ids(settings, **given) == [code]


@pytest.mark.parametrize(
    "given",
    [
        {"token_grace": -1.0},
        {"token_grace": 86_400},
        {"token_leeway": 0, "presence_window": 0, "drain_seconds": 0.0},
        {"backend_cache_seconds": 0, "backend_pause": 0},
        {"inbound_rate": 400, "inbound_burst": 1e6},
        {"proxy_networks": "10.0.0.0/8, ::1", "trusted_proxies": 1},
        {"token_secrets": ["s" * 32], "allowed_origins": ["example.com"]},
        {"allowed_origins": None},
        {"allowed_origins": ("*", "null", "file://", "https://*", "*.a.test", "b:80")},
        {"backend_url": "http://127.0.0.1:4000/base"},
        {"token_jwks_url": "https://[::1]:8443/keys?tenant=a"},
        {"token_user_claim": "sub", "token_room_claim": "room"},
        {"room_policies": {"a-*": {"capacity": 0}, "b": {"presence_grace": 2}}},
        {"channels": {"x:*": "rooms.channels.room.RoomChannel"}},
    ],
)
def test_valid_settings_are_accepted(settings: Settings, given: dict[str, Any]) -> None:
    assert ids(settings, **given) == []


@pytest.mark.parametrize(
    "given",
    [
        {"token_secrets": ("sesame",), "api_secrets": ("sesame",)},
        {"token_secrets": "sesame", "api_secrets": "sesame"},
        {"token_secrets": (f"-----BEGIN sesame {PEM}",)},
        {"backend_url": "user:sesame@backend.test"},
    ],
)
def test_no_check_shows_a_secret(settings: Settings, given: dict[str, Any]) -> None:
    settings.DEBUG = False
    settings.BEAM = settings.BEAM | given
    problems = check_settings()

    assert problems
    assert "sesame" not in "".join(map(str, problems))
