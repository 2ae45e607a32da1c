"""Who is this, and what may they do: tenants, users, roles, API keys, sessions, tokens."""
