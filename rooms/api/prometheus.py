"""`GET /metrics`: the metrics of all processes of this host, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from rest_framework.request import Request

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.api.view import BackendView
from rooms.auth.client_ip import client_ip, is_in_networks
from rooms.monitoring.host_stats import host_processes
from rooms.monitoring.process_stats import GAUGES, Buckets, ProcessStats

LABELS = ("process",)
REASON = "reason"
HELP = {"cpu_seconds": "CPU time used, user and system"}


class Exposition(Collector):
    """Collects statistics of processes as metric families, with label `process`."""

    def __init__(self, processes: dict[str, ProcessStats]) -> None:
        self._processes = processes.items()

    def collect(self) -> Iterator[Metric]:
        """The families of `beam.telemetry.metrics`.

        A value that a process of another version does not report is missing, not 0.
        """
        help_texts = HELP | {name: c.help for name, c in metrics.COUNTERS.items()}
        for name, text in help_texts.items():
            yield self._counter(name, text)
        for name, text in GAUGES.items():
            gauge = GaugeMetricFamily(f"beam_{name}", text, labels=LABELS)
            for label, stats in self._processes:
                if name in stats.gauges:
                    gauge.add_metric([label], stats.gauges[name])
            yield gauge
        for name, found in metrics.HISTOGRAMS.items():
            yield self._histogram(f"beam_{name}", found)

    def _counter(self, name: str, text: str) -> Metric:
        """A counter, with the label `reason` if it is counted by reason."""
        found = metrics.COUNTERS.get(name)
        if found is None or not found.reasons:
            family = CounterMetricFamily(f"beam_{name}", text, labels=LABELS)
            for label, stats in self._processes:
                if name in stats.counters:
                    family.add_metric([label], stats.counters[name])
            return family
        labels = (*LABELS, REASON)
        family = CounterMetricFamily(f"beam_{name}", text, labels=labels)
        for label, stats in self._processes:
            for reason, count in stats.reasons.get(name, {}).items():
                family.add_metric([label, reason], count)
        return family

    def _histogram(self, name: str, found: metrics.Histogram) -> Metric:
        family = HistogramMetricFamily(name, found.help, labels=LABELS)
        for label, stats in self._processes:
            if (values := stats.histograms.get(found.name)) is not None:
                family.add_metric([label], _cumulative(values), values.sum)
        return family


def _cumulative(values: Buckets) -> list[Any]:
    """The buckets as cumulative counts, by upper bound."""
    below, buckets = 0.0, []
    bounds = (*values.bounds, float("inf"))
    for bound, count in zip(bounds, values.counts, strict=True):
        below += count
        buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), below))
    return buckets


class Metrics(BackendView):
    """`GET /metrics`: with the secret, a key of the scope, or from `metrics_allow`."""

    # Not JSON, and not for backends: not in the OpenAPI document.
    schema = None  # type: ignore[assignment]
    scope = "metrics:read"

    async def respond(self, request: Request) -> Any:
        """Clients in the networks of `metrics_allow` need no secret."""
        if request.method in ("GET", "HEAD") and _is_allowed(request):
            return await self.get(request)
        return await super().respond(request)

    async def get(self, request: Request) -> HttpResponse:
        """The metrics, in the text format that `Accept` prefers."""
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        text = encode(Exposition(host_processes.all_stats()))
        return HttpResponse(text, content_type=kind)


def _is_allowed(request: Request) -> bool:
    """Whether the IPs of the peer and of the client behind proxies are allowed."""
    allowed = conf().metrics_allow
    peer = request.META.get("REMOTE_ADDR") or ""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if forwarded and not conf().trusted_proxies:
        # It came through a proxy that is not configured: the client is unknown.
        return False
    return is_in_networks(peer, allowed) and is_in_networks(
        client_ip(peer, forwarded), allowed
    )
