"""What crosses a process boundary: the envelope, the facts of each owner, their topics."""
