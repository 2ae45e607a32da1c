"""The doors of iam: REST for people, gRPC for services; all onto the same use-cases.

rest  collects: auth  users  roles  organizations  api_keys  sessions  well_known       grpc  for services
"""
