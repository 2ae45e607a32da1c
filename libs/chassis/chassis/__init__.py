"""The frame every service is mounted on. It carries no business of its own.

Pure, open to every domain:  errors  caller  facts  pages
Around a request:            context  edge  http  openapi  problems  strictjson  rpc  limits  idempotency
Who is asking:               identity  authority  tokens  apikeys  mesh
Around a change:             db  migrate  outbox  delivery  leases
Around a process:            settings  telemetry  frame  serve
"""
