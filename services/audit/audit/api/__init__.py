"""The doors of the audit service: rest and grpc, and the views of what they show."""
