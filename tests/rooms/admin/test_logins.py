"""Limits of the admin's login and of its change of a password."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from pytest_django.fixtures import Settings

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.admin import login_limits as module
from rooms.admin import logins
from rooms.admin.login_limits import LoginLimits

pytestmark = pytest.mark.django_db
LOGIN = "/admin/login/"
ATTEMPTS = conf().login_attempts


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> LoginLimits:
    """Limits without attempts, and an admin."""
    User.objects.create_superuser("root", "", "right")
    fresh = LoginLimits()
    monkeypatch.setattr(logins, "login_limits", fresh)
    return fresh


def attempt(client: Client, password: str, account: str = "root", **meta: str) -> Any:
    """A login attempt."""
    form = {"username": account, "password": password}
    return client.post(LOGIN, form, **meta)  # type: ignore[arg-type]


def test_too_many_wrong_passwords_are_not_checked(client: Client) -> None:
    failed, limited = metrics.LOGINS_FAILED.value, metrics.LOGINS_LIMITED.value
    wrong = [attempt(client, "wrong") for _ in range(ATTEMPTS)]
    assert {answer.status_code for answer in wrong} == {200}

    # The right password is not checked either.
    answer = attempt(client, "right")

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= conf().login_pause
    assert "Too many attempts. Try again in" in answer.content.decode()
    assert metrics.LOGINS_FAILED.value == failed + ATTEMPTS
    assert metrics.LOGINS_LIMITED.value == limited + 1
    assert client.get("/admin/").status_code == 302
    # Other addresses are not limited.
    other = attempt(client, "right", REMOTE_ADDR="10.0.0.2")
    assert other.status_code == 302


def test_the_client_ip_is_counted_behind_trusted_proxies(
    client: Client, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"trusted_proxies": 1}
    for _ in range(ATTEMPTS + 1):
        last = attempt(client, "wrong", HTTP_X_FORWARDED_FOR="9.9.9.9, 6.6.6.6")

    assert last.status_code == 429
    other = attempt(client, "right", HTTP_X_FORWARDED_FOR="6.6.6.6, 7.7.7.7")
    assert other.status_code == 302


def test_without_trusted_proxies_a_forged_address_is_ignored(client: Client) -> None:
    for n in range(ATTEMPTS + 1):
        last = attempt(client, "wrong", HTTP_X_FORWARDED_FOR=f"6.6.6.{n}")

    assert last.status_code == 429


def test_an_attacker_does_not_lock_the_admin_out(client: Client) -> None:
    assert attempt(client, "right").status_code == 302
    client.post("/admin/logout/")
    attacker = Client()
    for n in range(250):
        attempt(attacker, "wrong", REMOTE_ADDR=f"10.0.0.{n}")
    assert attempt(Client(), "right").status_code == 429

    # By the cookie of the browser that logged in before, from the same address.
    assert attempt(client, "right").status_code == 302


def test_a_browser_is_known_for_its_own_account_only(
    client: Client,
) -> None:
    User.objects.create_superuser("eve", "", "hers")
    assert attempt(client, "hers", "eve").status_code == 302
    for n in range(250):
        attempt(Client(), "wrong", REMOTE_ADDR=f"10.0.0.{n}")

    assert attempt(client, "right").status_code == 429


def test_a_forged_cookie_is_ignored(client: Client) -> None:
    for n in range(ATTEMPTS + 1):
        client.cookies[logins.COOKIE] = f"{logins._digest('root')}:{n}:x:y"
        last = attempt(client, "wrong")

    assert last.status_code == 429


def test_a_login_without_a_password_is_not_counted(client: Client) -> None:
    for _ in range(ATTEMPTS * 3):
        assert attempt(client, "").status_code == 200

    assert attempt(client, "right").status_code == 302


def test_a_login_gets_429_while_too_many_checks_wait(
    client: Client, limits: LoginLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    with limits.checking(""):
        # None is counted: no password was checked.
        answers = [attempt(client, "right") for _ in range(ATTEMPTS + 1)]

    for answer in answers:
        assert (answer.status_code, answer["Retry-After"]) == (429, "3")
    assert attempt(client, "right").status_code == 302


def test_an_attempt_is_not_counted_while_the_database_fails(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError

    with monkeypatch.context() as unavailable:
        unavailable.setattr(ModelBackend, "authenticate", fail)
        for _ in range(ATTEMPTS * 2):
            assert attempt(client, "right").status_code == 503

    assert attempt(client, "right").status_code == 302


def test_attempts_of_the_old_password_are_limited(client: Client) -> None:
    client.force_login(User.objects.get())
    form = {"new_password1": "another-one-9", "new_password2": "another-one-9"}
    path = "/admin/password_change/"
    for _ in range(ATTEMPTS):
        answer = client.post(path, form | {"old_password": "wrong"})
        assert answer.status_code == 200

    answer = client.post(path, form | {"old_password": "right"})

    assert answer.status_code == 429
    assert "Too many attempts" in answer.content.decode()


def test_a_password_is_changed(client: Client) -> None:
    client.force_login(User.objects.get())
    form = {"new_password1": "another-one-9", "new_password2": "another-one-9"}

    answer = client.post("/admin/password_change/", form | {"old_password": "right"})

    assert answer.status_code == 302
    assert client.get("/admin/password_change/done/").status_code == 200
    assert User.objects.get().check_password("another-one-9")
