"""What is true of a log: events, their place in it, what may enter, what may be asked of it. Pure.

errors   the ways to fail            entry    an event with its place, and its exact bytes
draft    what may enter the log      sequence seq, ts, ordinals and leaf of what enters
wanted   what a reader may ask for   strands  what entries are numbered within
diff     what changed between two documents   merkle  trees, and proofs about them
tiles    trees in pieces             note     signed checkpoints
export   what is handed out          evidence checking it offline
keeping  how long, and who was erased
stream   receivers of everything     ocsf     entries as their tools know them
"""
