"""Replay recorded activities through the public API."""
