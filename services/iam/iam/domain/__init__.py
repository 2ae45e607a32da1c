"""Pure rules of identity and authority. Nothing here waits, reads a clock, or touches the world.

permissions  the catalogue of permissions     roles      what each role holds
user         people and their grants          tenant     organizations
password     which passwords are accepted     session    sessions, refresh tokens, access-token claims
api_key      keys and their versions          authority  what replicas are told
throttle     how failed logins slow down      errors     every way to fail
"""
