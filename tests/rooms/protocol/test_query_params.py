"""Query strings, read as Plug reads them."""

from __future__ import annotations

from typing import Any

import pytest

from rooms.protocol.query_params import InvalidParams, parse_params


@pytest.mark.parametrize(
    ("query", "params"),
    [
        (b"", {}),
        (b"a=1", {"a": "1"}),
        (b"a=1&&t=true&", {"a": "1", "t": "true"}),
        (b"a=1&a=2", {"a": "2"}),
        (b"a", {"a": ""}),
        (b"=x", {"": "x"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=%C3%BC+x%2B", {"a": "ü x+"}),
        (b"nested%5Ba%5D=1&nested[b][0]=2", {"nested": {"a": "1", "b": {"0": "2"}}}),
        (b"v[]=1&v[]=2", {"v": ["1", "2"]}),
        (b"a=1&a[b]=2", {"a": {"b": "2"}}),
        (b"a[b]=2&a=1", {"a": "1"}),
        (b"a[x]=1&a[]=2", {"a": ["2"]}),
        (b"a[b][]=1&a[b][]=2", {"a": {"b": ["1", "2"]}}),
        (b"[a]=1&b]=2&c[=3", {"[a]": "1", "b]": "2", "c[": "3"}),
    ],
)
def test_params_are_read_as_plug_reads_them(
    query: bytes, params: dict[str, Any]
) -> None:
    assert parse_params(query) == params


@pytest.mark.parametrize(
    "query", [b"a=%ff", b"%ff=1", b"&".join([b"a=1"] * 201), b"a" + b"[b]" * 9 + b"=1"]
)
def test_hostile_params_are_refused(query: bytes) -> None:
    with pytest.raises(InvalidParams):
        parse_params(query)
