"""What is true of a log: events, their place in it, what may enter, what may be asked of it. Pure.

errors   the ways to fail            entry    an event with its place, and its exact bytes
draft    what may enter the log      sequence seq and ts of what enters
wanted   what a reader may ask for   diff     what changed between two documents
"""
