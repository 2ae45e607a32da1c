"""The yard: Switchyard as processes of this machine, with real Envoy, PostgreSQL and Valkey,
without Docker.

From the outside in: `__main__` (the verbs) · `upkeep` (up, down, logs, status, reset: talking to a
supervisor in the background) · `trial` (`with`: a throw-away copy around a command) · `session`
(one run from empty to healthy to stopped) · `roster` (which processes there are, and what each is
told) · `stores` (PostgreSQL and Valkey) · `keeper` (start in order, restart, stop in reverse) ·
`unit`, `cast`, `probes` (one process: what, as whom, when ready) · `site`, `record`, `vault`,
`ports`, `procs`, `logbook` (places, state, secrets, ports, /proc, logs) · `seed` (the demonstration
flag, through the real API) · `bootstrap` (the virtual environment; runs before all of this exists).

Only the standard library (and PyYAML, for the service graph, when it is read): the supervisor stays
small and quick.
"""


class YardError(Exception):
    """What keeps the yard from going on, in words for the person at the terminal."""
