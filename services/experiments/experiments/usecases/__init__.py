"""What the experiments service does, one verb per method.

experiments   create, read, change, move and delete
schedules     set and remove dates, and write down what the clock has done
facts         what each of them leaves for the audit log
"""
