"""How far a sidecar has forwarded its log."""

from service.adapters.forward_progress.redis_progress import RedisForwardProgress

__all__ = ["RedisForwardProgress"]
