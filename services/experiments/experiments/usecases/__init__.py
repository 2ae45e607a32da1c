"""What the experiments service does, one verb per method.

experiments   create, read, change, move, schedule and delete; write down what the clock has done
facts         what each of them leaves for the audit log
"""
