"""Where the log is kept: tables, work (the transaction), log (writing and reading)."""
