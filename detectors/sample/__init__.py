"""Summaries that keep rows."""
