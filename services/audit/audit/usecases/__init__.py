"""What the audit service does: recorder (writing), sealing (people's parts), reader (reading)."""
