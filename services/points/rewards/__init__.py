"""Rewards: the catalogue, its stock, and what members redeem."""
