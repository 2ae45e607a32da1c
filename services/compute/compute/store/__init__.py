"""Where machines are kept: the only home of SQL."""
