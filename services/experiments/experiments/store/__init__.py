"""Where experiments are kept: the only home of SQL."""
