"""What is true of flags. Pure: no clock, no dice, no waiting.

errors    every way a request about flags can fail
place     projects and their environments
values    the types a flag can have, and which values are of them
flag      a flag, its switch in each environment, and the moves it can make
listing   which flags of a project are asked for, and in which order
ruleset   the compiled form that answers, made once per revision
"""
