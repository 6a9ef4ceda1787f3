"""What every SQLite adapter shares: one file, its writer thread with group commit, its reader."""
