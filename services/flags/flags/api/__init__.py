"""The doors of the flags service, all onto the same use-cases.

rest            every REST door, for the app and for its OpenAPI document
feature_flags   projects   managing, in REST (flag_views: as flags are sent and shown)
grpc            for neighbours
words           how keys, names and places are written
ofrep           evaluation for OpenFeature's SDKs: a raw ASGI door, dispatched before FastAPI
rendered        its answers, written out before anybody asks
ofrep_routes    the same door in the OpenAPI document
"""
