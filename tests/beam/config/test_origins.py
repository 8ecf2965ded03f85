"""Which origins may connect, and which entries are errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam.config.origins import BadOrigin, is_allowed, read

LIST = ("https://example.com", "//another.com:888", "//*.other.com", "bare.org")


@pytest.mark.parametrize(
    ("origin", "allowed", "fits"),
    [
        (None, (), True),
        ("http://evil.test", None, True),
        ("null", None, True),
        ("null", (), False),
        ("null", LIST, False),
        ("", (), False),
        ("nonsense", (), False),
        ("http://[::1", LIST, False),
        ("http://x:99999", LIST, False),
        ("https://host.test:1", (), True),
        ("http://HOST.test", (), True),
        ("http://other.test", (), False),
        ("https://example.com", LIST, True),
        ("https://example.com:443", LIST, True),
        ("https://example.com:8443", LIST, False),
        ("http://example.com", LIST, False),
        ("https://sub.example.com", LIST, False),
        ("ws://another.com:888", LIST, True),
        ("https://another.com", LIST, False),
        ("http://other.com", LIST, True),
        ("https://a.b.other.com:9", LIST, True),
        ("https://another-other.com", LIST, False),
        ("http://bare.org:3000", LIST, True),
        ("http://evil.test", LIST, False),
        ("http://evil.test", ("*",), True),
        # `*` is any origin, also one that cannot be read.
        ("null", ("*",), True),
        ("file://", ("*",), True),
        ("", ("https://a.test", "*"), True),
        ("http://[::1", ("*",), True),
        # Pages without a host, and those of other schemes.
        ("null", ("null",), True),
        ("NULL", ("null",), False),
        ("null", ("file://", "//*", "https://*"), False),
        ("file://", ("null", "https://*"), False),
        ("file://", ("file://",), True),
        ("file://", ("file://*",), True),
        ("file://", (), False),
        ("app://", ("app://",), True),
        ("app://-", ("app://",), False),
        ("app://-", ("app://*",), True),
        ("capacitor://localhost", ("capacitor://localhost",), True),
        ("ionic://localhost", ("capacitor://localhost",), False),
        ("capacitor://localhost", ("localhost",), True),
        ("tauri://localhost", ("tauri://*",), True),
        ("chrome-extension://abcdef", ("chrome-extension://*",), True),
        ("chrome-extension://abcdef", ("chrome-extension://abcdef",), True),
        ("moz-extension://abcdef", ("chrome-extension://*",), False),
        # Any host of a scheme, any port of a host.
        ("https://any.test", ("https://*",), True),
        ("https://any.test:8443", ("https://*",), True),
        ("https://any.test:8443", ("https://*:443",), False),
        ("http://any.test", ("https://*",), False),
        ("https://a.test", ("//*",), True),
        ("http://localhost:5173", ("http://localhost:*",), True),
        ("https://localhost:5173", ("http://localhost:*",), False),
        ("http://localhost:5173", ("http://localhost",), False),
        ("http://localhost:5173", ("localhost",), True),
        ("http://localhost:5173", ("localhost:5173",), True),
        ("http://localhost:5174", ("localhost:5173",), False),
        # As people write them.
        ("https://example.com", ("https://example.com/",), True),
        ("https://example.com", ("HTTPS://Example.COM",), True),
        ("http://[::1]:3000", ("http://[::1]:3000",), True),
        ("http://[::1]:3000", ("http://[::2]:3000",), False),
        ("https://a.example.com", ("*.example.com",), True),
        ("https://evilexample.com", ("https://*.example.com",), False),
        ("https://example.com.evil.test", ("https://example.com",), False),
        ("https://example.com", ("https://exa mple.com", "http://a:b"), False),
    ],
)
def test_origins_are_checked_as_phoenix_does(
    origin: str | None,
    allowed: tuple[str, ...] | None,
    fits: bool,
) -> None:
    assert is_allowed(origin, "host.test:4000", allowed) is fits


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("", "no host"),
        ("//", "no host"),
        ("https://", "no host"),
        ("http://:80", "no host"),
        ("file://:80", "no host"),
        ("https//example.com", "not an origin"),
        ("https:example.com", "not an origin"),
        ("https://example.com/app", "has a path"),
        ("https://example.com?a=1", "not an origin"),
        ("https://user@example.com", "not an origin"),
        ("https://exa mple.com", "not an origin"),
        ("https://foo*.example.com", "not an origin"),
        ("https://example.*", "not an origin"),
        ("https://*.*.example.com", "not an origin"),
        ("example.com:http", "not an origin"),
        ("https://example.com:0", "port"),
        ("https://example.com:65536", "port"),
        ("https://bücher.example", "xn--"),
    ],
)
def test_an_entry_that_no_origin_can_match_is_an_error(entry: str, reason: str) -> None:
    with pytest.raises(BadOrigin, match=reason):
        read(entry)


@given(st.text(max_size=30), st.text(max_size=20), st.lists(st.text(max_size=20)))
def test_no_value_of_a_client_raises(
    origin: str, host: str, allowed: list[str]
) -> None:
    for entries in (None, (), tuple(allowed)):
        assert is_allowed(origin, host, entries) in (True, False)
