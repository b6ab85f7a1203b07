"""Driftwarden's service: rows in over HTTP, windows in Redis, verdicts out, a retraining Job at the end."""
