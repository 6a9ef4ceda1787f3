"""The fixtures of the journal's port suite."""

from tests.ports.stores import journal, place, stores

__all__ = ["journal", "place", "stores"]
