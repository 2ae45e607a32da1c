"""What the audit service does: recorder (writing), reader (reading)."""
