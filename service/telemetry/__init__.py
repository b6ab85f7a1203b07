"""How the service is watched itself: metrics, traces and logs."""
