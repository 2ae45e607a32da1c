"""What iam does, one verb per method.

logins  log in, refresh, log out        sessions       list and end one's own sessions
users   the people of a tenant          organizations  register one, see those within reach
roles   roles and permissions           api_keys       make, rotate and revoke keys
keys    turn the signing keys           bootstrap      the first administrator
feed    changes as they are committed   authority      what replicas are told, and asked
facts   what the audit log is told      opening        how every session begins
registering  make an account of one's own, where a tenant is open for that
"""
