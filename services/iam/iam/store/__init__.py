"""Where identity and authority are kept. The only home of SQL."""
