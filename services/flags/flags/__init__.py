"""Feature flags: what does this user get, right now.

domain     flags, their values and their places; the compiled ruleset that answers
ports      what this service asks of the world
usecases   managing flags and projects; holding rulesets and answering from them
store      PostgreSQL: the flags, and the rulesets read from them
clients    Redis: the announcements that something changed
api        REST, gRPC, and OFREP: the door of the SDKs, which is the hot one
jobs       what keeps the rulesets fresh
"""
