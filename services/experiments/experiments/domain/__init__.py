"""Pure rules of experiments. Nothing here waits, reads a clock, or touches the world.

experiment    an experiment, its variants and the changes it can take
moves         which state follows which, by hand and by the clock
schedule      when it begins and ends: wall clocks, time zones, instants
errors        what can go wrong
"""
