"""What the compute service does, one verb per method.

vms         order, read, change and delete machines
templates   what machines can be made from
agents      the catalogue of agents
usage       recording usage and adding it up      metering   how long machines ran
quotas      how much a tenant may have, and has
"""
