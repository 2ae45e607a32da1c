"""What the experiments service does, one verb per method.

experiments   create, read, change, move, schedule and delete; write down what the clock has done
keeping       a change with its phase, its plan, its places in a layer, and what flags has to know
publishing    telling flags, until it knows
history       phases, plans, and how far flags knows
layers        layers and holdouts
facts         what each of them leaves for the audit log
"""
