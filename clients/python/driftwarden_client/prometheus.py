"""The client's counters for Prometheus, in an application that has `prometheus_client`."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from driftwarden_client.client import Client


class ClientCollector(Collector):
    """`prometheus_client.REGISTRY.register(ClientCollector(client))`; of this process alone."""

    def __init__(self, *clients: Client) -> None:
        self._clients = clients

    def collect(self) -> Iterable[Metric]:
        accepted = CounterMetricFamily(
            "driftwarden_client_accepted", "Copies that the sidecar has acknowledged.", labels=["model"]
        )
        dropped = CounterMetricFamily(
            "driftwarden_client_dropped", "Copies that did not arrive, and why.", labels=["model", "reason"]
        )
        waiting = GaugeMetricFamily("driftwarden_client_waiting", "Copies that wait to be sent.", labels=["model"])
        for client in self._clients:
            counters = client.counters
            accepted.add_metric([client.model], counters.accepted)
            waiting.add_metric([client.model], counters.waiting)
            for reason, count in counters.dropped.items():
                dropped.add_metric([client.model, reason], count)
        return [accepted, dropped, waiting]
