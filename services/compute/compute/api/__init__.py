"""The doors of the compute service: REST and gRPC, both onto the same use-cases.

rest        collects the REST doors
vms         /api/v1/vms
operations  /api/v1/operations
templates   /api/v1/vm-templates
quotas      /api/v1/quotas
agents      /api/v1/agents, and /api/agents      cards   the A2A card of an agent
usage       /api/v1/usage
words       how names, numbers and searches are written
grpc        switchyard.compute.v1
"""
