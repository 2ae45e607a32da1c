"""Our neighbours: Redis, iam's authority over authors of what is done later, and experiments, over gRPC."""
