"""The central service that a sidecar forwards to."""

from service.adapters.central.http_central import CentralAddress, HttpCentral, central_service

__all__ = ["CentralAddress", "HttpCentral", "central_service"]
