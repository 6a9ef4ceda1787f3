"""Vouchers: series of codes, their issue, and their redemption at a till."""
