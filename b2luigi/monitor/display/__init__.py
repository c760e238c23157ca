"""The terminal: a live block at the bottom while jobs run, short messages above it, totals at the end."""
