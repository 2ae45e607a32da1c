"""What the compute service does, one verb per method.

vms         order, read, change and delete machines
templates   what machines can be made from
agents      the catalogue of agents
quotas      how much a tenant may have, and has
"""
