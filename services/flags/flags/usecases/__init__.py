"""What the flags service does: a class per noun, a method per verb.

projects     a tenant's projects and environments; the first is made by whoever comes first
flags        managing flags
rulesets     holding what each environment serves, fresh, in memory
"""
