"""Our neighbours: flags, over gRPC, and Redis, in whose streams data waits."""
