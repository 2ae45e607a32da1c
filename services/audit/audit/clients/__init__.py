"""What the audit service needs of the outside.

seal   keys of people, and encryption under them      signer   the key that signs checkpoints
webhook  receivers of streams
"""
