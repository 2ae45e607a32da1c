"""The doors of the flags service, all onto the same use-cases.

rest            every REST door, for the app and for its OpenAPI document
feature_flags   projects   managing, in REST
grpc            for neighbours
ofrep           evaluation for OpenFeature's SDKs: a raw ASGI door, dispatched before FastAPI
"""
