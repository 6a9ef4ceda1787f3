"""The fixtures of the journal's port suite."""

from tests.ports.stores import adapter, journal, place, stores

__all__ = ["adapter", "journal", "place", "stores"]
