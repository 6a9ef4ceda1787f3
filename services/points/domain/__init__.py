"""The rules of the ledger: pure, no I/O, no clock."""
