"""Compute: run this for me, and what did it cost.

From the inside out: domain (what is true) · ports (what we need) · usecases (what we do) · store (where it is kept) ·
clients (the hypervisor) · api (our doors) · settings · main (the only wiring).
"""

import os

# Compute starts programs, and uvloop forks for that. gRPC's handlers for forks wake its threads in the child, between
# fork and exec, where they crash now and then (grpc/grpc#43055); a child that only execs needs none of them.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
