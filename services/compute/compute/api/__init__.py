"""The doors of the compute service: REST and gRPC, both onto the same use-cases.

rest        collects the REST doors
vms         /api/v1/vms
templates   /api/v1/vm-templates
quotas      /api/v1/quotas
words       how names, numbers and searches are written
grpc        switchyard.compute.v1
"""
