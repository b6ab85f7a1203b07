"""The counters as Prometheus scrapes them."""

from prometheus_client import CollectorRegistry, generate_latest

from driftwarden_client import Client, Dropped
from driftwarden_client.prometheus import ClientCollector


def test_counters_are_shown_by_model_and_reason() -> None:
    clients = [Client("unix:///nowhere", model) for model in ("fraud", "churn")]
    clients[0].drop(Dropped.FULL, 3)
    clients[1].drop(Dropped.INVALID)
    registry = CollectorRegistry()
    registry.register(ClientCollector(*clients))
    text = generate_latest(registry).decode()
    assert 'driftwarden_client_dropped_total{model="fraud",reason="full"} 3.0' in text
    assert 'driftwarden_client_dropped_total{model="churn",reason="invalid"} 1.0' in text
    assert 'driftwarden_client_accepted_total{model="fraud"} 0.0' in text
    assert 'driftwarden_client_waiting{model="churn"} 0.0' in text
