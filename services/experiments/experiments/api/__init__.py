"""The doors of the experiments service: REST and gRPC, both onto the same use-cases.

rest          collects the REST doors
experiments   /api/v1/experiments
schedules     /api/v1/experiments/{experiment}/schedule, /api/v1/experiments/schedules/process
history       /api/v1/experiments/{experiment}/phases, plan, allocation
layers        /api/v1/layers, /api/v1/holdouts
views         what clients send and get; plan_views: of plans, phases and allocations
grpc          switchyard.experiments.v1
"""
