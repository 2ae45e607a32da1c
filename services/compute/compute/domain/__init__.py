"""Pure rules of compute. Nothing here waits, reads a clock, or touches the world.

vm        a machine: what its owner wishes, how far it has come, what people see
course    what the worker does next
guest     a guest as its host knows it
operation, happening   what was asked of a machine, and what happened to it
image     what a template is made of, while it is being had
order     what is asked for when a machine is to be made
quota     how much a tenant may have, and has
agent     an agent of the catalogue, free for all or one organization's
usage     the ledger of usage, and what it adds up to      metering   how long machines ran
host      what a look at the hypervisor found
errors, agent_errors, usage_errors   what can go wrong
"""
