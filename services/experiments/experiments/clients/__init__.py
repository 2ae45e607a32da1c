"""Our neighbours: flags, over gRPC."""
