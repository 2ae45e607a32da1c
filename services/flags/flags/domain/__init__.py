"""What is true of flags. Pure: no clock, no dice, no waiting.

errors    every way a request about flags can fail
place     projects and their environments
values    the types a flag can have, and which values are of them; variants: those of one flag
segment   a named set of people
revision  what a flag was after each change
flag      a flag, its switch in each environment, and the moves it can make
listing   which flags of a project are asked for, and in which order
answers   what a client gets for one flag, in OpenFeature's words
ruleset   the compiled form of an environment that answers, made once per revision

context        who or what asks, and how attributes are read
rules          targeting as values; reading: out of their documents; operators: every comparison there is
bucketing      which share of all units a unit belongs to
compile        conditions and segments into closures; decide: one flag into a closure
neighbourhood  the part of an environment that one flag can look at
explain        the same once more, told step by step; telling: a condition, clause by clause
analyse        what is wrong with rules before they serve; contradictions, graph and uses are its parts
schema         JSON Schema for variants
wrong          one thing that makes a document unusable, and where
"""
