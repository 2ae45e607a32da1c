"""Where flags are kept: the only home of SQL.

tables     the schema
work       one transaction over it
projects   flags   the books of the same names
shelf      reading rulesets
"""
