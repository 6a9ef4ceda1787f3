"""The fixtures of the views' port suite."""

from tests.ports.stores import place, stores

__all__ = ["place", "stores"]
