"""The doors of the experiments service: REST and gRPC, both onto the same use-cases.

rest          collects the REST doors
experiments   /api/v1/experiments
schedules     /api/v1/experiments/{experiment}/schedule, /api/v1/experiments/schedules/process
views         what clients send and get
grpc          switchyard.experiments.v1
"""
