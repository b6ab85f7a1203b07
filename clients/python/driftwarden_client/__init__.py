"""Copies an application's inferences to a Driftwarden sidecar, in the background. The standard library suffices."""

from driftwarden_client.client import Client, Limits
from driftwarden_client.middleware import CopyInferences
from driftwarden_client.waiting import Counters, Dropped

__all__ = ["Client", "CopyInferences", "Counters", "Dropped", "Limits"]
