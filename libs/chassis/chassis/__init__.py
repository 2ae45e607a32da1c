"""The frame every service is mounted on. It carries no business of its own.

Pure, open to every domain:  errors  caller  facts  pages
Around a request:            context  edge  http  reading  strictjson  openapi  problems  refusals  rpc  idempotency
Who is asking:               identity  authority  tokens  mesh  denials
Around a change:             db  outbox  delivery  leases
Around a process:            settings  telemetry  frame  serve
"""
