"""Who may do what: the one decision function and its words, pure, for every service.

permissions   the catalogue, spelled kind:verb, and the names that older systems use
verbs         the same as bits
decision      grants and caps: compile a subject once, decide in half a microsecond, explain with the same code
standing      what somebody may do in one tenant: the decision, with the lists of the tenant's projects
replica       subjects, memberships and projects, fed change by change; makes standings and keeps them
told          the same, read off what iam tells
queue         how many may wait for news at once
limits        how often one may ask: a bucket per credential
confusable    names that look alike though they are written with other letters
tally         how often one was refused: the first at once, then counted
usage         which API keys were used lately
apikeys       what an API key looks like, and under which digest it is known
"""
