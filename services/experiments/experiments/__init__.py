"""Experiments: did it work, and can we believe it.

From the inside out: domain (what is true) · ports (what we need) · usecases (what we do) · store (where it is kept) ·
api (our doors) · jobs (what runs by itself) · settings · main (the only wiring).
"""
