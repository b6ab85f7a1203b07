"""The outside world, one folder a port. Each adapter knows one technology, wraps its errors, and no other adapter."""
