"""Compute: run this for me, and what did it cost.

From the inside out: domain (what is true) · ports (what we need) · usecases (what we do) · store (where it is kept) ·
clients (the hypervisor) · api (our doors) · settings · main (the only wiring).
"""
