"""What the compute service does, one verb per method.

vms         order, read, change, switch and delete machines
operations  what became of what was asked
reconciler  make wishes come true
orphans     end guests that nobody knows of
offers      put the host's templates where tenants find them
templates   what machines can be made from
agents      the catalogue of agents
usage       recording usage and adding it up      metering   how long machines ran
quotas      how much a tenant may have, and has
"""
