"""The fixtures of the views' port suite."""

from tests.ports.stores import adapter, place, stores

__all__ = ["adapter", "place", "stores"]
