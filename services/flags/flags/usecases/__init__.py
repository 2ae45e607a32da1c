"""What the flags service does: a class per noun, a method per verb.

homes        the project that a request is about; the first is made by whoever comes first
projects     managing projects
flags        managing flags
rulesets     holding what each environment serves, fresh, in memory
"""
