"""What poisoners may do, and how far they get: the figures are measured by `python -m benchmarks.anomalies`."""
