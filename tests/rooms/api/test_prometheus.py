"""`GET /metrics`: who may read it, and what it exposes."""

from __future__ import annotations

import httpx
import pytest
from django.test import AsyncClient
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from beam.asgi import application
from beam.telemetry import metrics
from rooms.monitoring import process_stats
from rooms.monitoring.host_stats import host_processes
from rooms.monitoring.process_stats import GAUGES
from rooms.protocol.close_codes import Close
from rooms.protocol.reasons import Reason
from tests.clients import connected
from tests.conftest import Serve
from tests.keys import create
from tests.processes import RedisServer, wait_until

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]

SECRET = {"secret": "dev-secret"}


def values(text: str) -> dict[str, dict[str, float]]:
    """The samples of a scrape: value by name and process.

    Of a histogram the last bucket, of a counter with reasons the sum.
    """
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            process = sample.labels["process"]
            before = found.setdefault(sample.name, {}).get(process, 0)
            more = before if "reason" in sample.labels else 0
            found[sample.name][process] = more + sample.value
    return found


async def scrape(http: AsyncClient, **headers: str) -> dict[str, dict[str, float]]:
    """The samples of a scrape with the secret."""
    answer = await http.get("/metrics", headers=SECRET | headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return values(answer.content.decode())


async def test_every_counter_gauge_and_histogram_is_exposed(
    async_client: AsyncClient,
) -> None:
    metrics.LATENCY.observe(0.003)

    found = await scrape(async_client)

    for name in [*metrics.COUNTERS, "cpu_seconds"]:
        assert found[f"beam_{name}_total"]["1"] >= 0
    for name in GAUGES:
        assert "1" in found[f"beam_{name}"]
    for name in metrics.HISTOGRAMS:
        assert {f"beam_{name}{end}" for end in ("_bucket", "_count", "_sum")} <= set(
            found
        )
    assert found["beam_memory_bytes"]["1"] > 1e6
    assert found["beam_redis_up"]["1"] == 1
    assert found["beam_processes"]["1"] == 1


async def test_a_refusal_is_counted_by_its_reason(async_client: AsyncClient) -> None:
    before = metrics.JOINS_REFUSED.reasons["unauthorized"]
    [ada] = await connected("ada")
    await ada.ask("room:r", "phx_join", {"room_token": "no", "session_id": "1"})
    await ada.ask("nothing", "phx_join", {})

    text = (await async_client.get("/metrics", headers=SECRET)).content.decode()

    counts = {
        sample.labels["reason"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "beam_joins_refused_total"
    }
    assert counts == dict(metrics.JOINS_REFUSED.reasons)
    assert counts["unauthorized"] == before + 1
    assert counts["unmatched_topic"] >= 1
    assert sum(counts.values()) == metrics.JOINS_REFUSED.value


def test_every_reason_of_the_protocol_is_counted_by_its_name() -> None:
    known = {*metrics.JOINS_REFUSED.reasons, *metrics.MESSAGES_REFUSED.reasons}

    assert {str(reason).replace(" ", "_") for reason in Reason} <= known
    assert {code.name.lower() for code in Close} <= set(metrics.CLOSED.reasons)


async def test_a_histogram_counts_the_values_below_each_bound(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = metrics.Histogram("delivery_latency_seconds", "text", (0.1, 1.0))
    monkeypatch.setitem(metrics.HISTOGRAMS, fresh.name, fresh)
    for value in (0.05, 0.1, 0.5, 7.0):
        fresh.observe(value)
    fresh.observe(0.2, times=2)

    text = (await async_client.get("/metrics", headers=SECRET)).content.decode()

    lines = [line for line in text.splitlines() if "delivery_latency" in line]
    assert [line.rsplit(" ", 1)[1] for line in lines if "_bucket" in line] == [
        "2.0",
        "5.0",
        "6.0",
    ]
    assert 'le="+Inf"' in lines[4]
    assert values(text)["beam_delivery_latency_seconds_sum"]["1"] == pytest.approx(8.05)


async def test_deliveries_are_counted_in_the_histograms(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = await connected("ada", "bob")
    for client in (ada, bob):
        await client.join("r")
    for name in ("LATENCY", "FAN_OUT"):
        known = getattr(metrics, name)
        fresh = metrics.Histogram(known.name, known.help, known.bounds)
        monkeypatch.setattr(metrics, name, fresh)
    for body in ({}, {"to": [{"user_id": "bob"}]}):
        sent = {"events": [{"room_id": "r", "event": "changed"} | body]}
        await async_client.post(
            "/api/v1/events", sent, "application/json", headers=SECRET
        )
        await bob.event("changed")

    assert sum(metrics.LATENCY.counts) == sum(metrics.FAN_OUT.counts)
    assert 0 < metrics.LATENCY.sum < 5
    # One event to both, one to bob; earlier presence diffs may still be written.
    assert metrics.FAN_OUT.counts[2] >= 1
    assert metrics.FAN_OUT.counts[1] == 1


async def test_openmetrics_is_supported(async_client: AsyncClient) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"

    answer = await async_client.get("/metrics", headers=SECRET | {"accept": accept})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.content.decode().endswith("# EOF\n")


@pytest.mark.parametrize("headers", [{}, {"secret": "wrong"}, {"authorization": "x"}])
async def test_missing_or_wrong_credentials_are_refused(
    async_client: AsyncClient, headers: dict[str, str]
) -> None:
    answer = await async_client.get("/metrics", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"


async def test_a_key_needs_the_scope(async_client: AsyncClient) -> None:
    good = await create("prometheus", ["metrics:read"])
    other = await create("other", ["rooms:read"])

    codes = [
        (
            await async_client.get(
                "/metrics",
                headers={"authorization": f"Bearer {key}", "accept": "text/plain"},
            )
        ).status_code
        for key in (good, other)
    ]

    assert codes == [200, 403]


@pytest.mark.parametrize(
    ("allowed", "proxies", "forwarded", "status"),
    [
        ("127.0.0.1", 0, "", 200),
        ("10.0.0.0/8, 127.0.0.0/8", 0, "", 200),
        ("10.0.0.0/8", 0, "", 401),
        # Behind a proxy that is not configured the client is unknown.
        ("127.0.0.1", 0, "127.0.0.1", 401),
        # A client that does not use the proxy can forge the header.
        ("10.0.0.0/8", 1, "10.1.2.3", 401),
        ("10.0.0.0/8, 127.0.0.1", 1, "6.6.6.6, 10.1.2.3", 200),
        ("10.0.0.0/8, 127.0.0.1", 1, "6.6.6.6, 10.1.2.3:4711", 200),
        ("10.0.0.0/8, 127.0.0.1", 1, "10.1.2.3, 6.6.6.6", 401),
        ("10.0.0.0/8, 127.0.0.1", 1, "nonsense", 401),
    ],
)
async def test_client_ips_can_be_allowed(
    async_client: AsyncClient,
    settings: Settings,
    allowed: str,
    proxies: int,
    forwarded: str,
    status: int,
) -> None:
    settings.BEAM = settings.BEAM | {
        "metrics_allow": allowed,
        "trusted_proxies": proxies,
    }
    headers = {"x-forwarded-for": forwarded} if forwarded else {}

    answer = await async_client.get("/metrics", headers=headers)

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("peer", "status"), [("::ffff:10.1.2.3", 200), ("::ffff:6.6.6.6", 401)]
)
async def test_an_ipv4_client_of_a_dual_stack_socket_can_be_allowed(
    settings: Settings, peer: str, status: int
) -> None:
    settings.BEAM = settings.BEAM | {"metrics_allow": "10.0.0.0/8"}
    transport = httpx.ASGITransport(app=application, client=(peer, 1))

    async with httpx.AsyncClient(transport=transport) as http:
        answer = await http.get("http://testserver/metrics")
        head = await http.head("http://testserver/metrics/")

    assert answer.status_code == head.status_code == status


async def test_values_that_another_version_does_not_report_are_missing(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = process_stats.current()
    old = process_stats.ProcessStats(own.at, {"joins": 7.0}, {"connections": 3.0})
    monkeypatch.setattr(host_processes, "all_stats", lambda: {"1": own, "2": old})

    found = await scrape(async_client)

    assert found["beam_joins_total"]["2"] == 7
    assert found["beam_connections"]["2"] == 3
    # 0 would mean that Redis is unavailable.
    for name in ("beam_redis_up", "beam_frames_in_total", "beam_joins_refused_total"):
        assert list(found[name]) == ["1"]
    assert list(found["beam_fan_out_members_bucket"]) == ["1"]


@pytest.mark.redis
def test_each_process_exposes_all_processes_of_the_host(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    server = beam_server("two processes", REDIS_URL=shared_redis.url)
    seen: list[dict[str, float]] = []

    def both() -> bool:
        # Each request opens a connection: either process answers.
        text = httpx.get(f"{server.url}/metrics", headers=SECRET).text
        seen.append(values(text)["beam_cpu_seconds_total"])
        return sum(set(found) == {"1", "2"} for found in seen) > 30

    wait_until(both, "both processes report their statistics")

    for process in ("1", "2"):
        values_seen = [found[process] for found in seen if process in found]
        assert values_seen == sorted(values_seen)
