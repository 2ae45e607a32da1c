"""The front gate: Envoy's configuration made from the service graph and the merged OpenAPI document.

graph.py     who runs where (service graph, or the state file of the local supervisor)
settings.py  what the environment says; limits.py  how much may pass, per profile
openapi.py   five OpenAPI documents become one; gather.py fetches them from the services
doors.py     an OpenAPI document becomes a list of doors (path, methods, authentication, ...)
routes.py    a door becomes an Envoy route; static.py the routes that Envoy answers itself
filters.py   the chain of HTTP filters; problems.py  Envoy's own answers as problem documents
listeners.py and clusters.py   the two ends; render.py puts all together and writes it
lint.py      what `envoy --mode validate` does not notice
keylog.py    the append-only log of API-key hashes that the Lua reads; agent.py fills it from iam
run.py       Envoy as a child process, SIGTERM as a graceful drain; cli.py the verbs
"""
