# Read by k8s.sh and upgrade.sh, from the repository's root: the clients inside of the cluster, and what they were told.
clients() { kubectl --namespace switchyard-trial "$@"; }

clients_ask() { # from here on
  kubectl apply -f deploy/trial/k8s/namespace.yaml
  clients create configmap clients --from-file=tests/newcomer.py --from-file=tests/load/clients.py --dry-run=client -o yaml \
    | kubectl apply -f - >/dev/null
  clients delete --ignore-not-found pod clients
  kubectl apply --warnings-as-errors -f deploy/trial/k8s/clients.yaml
  until clients logs clients 2>/dev/null | grep -q '^running'; do
    [ "$(clients get pod clients -o 'jsonpath={.status.phase}')" != Failed ] || { clients logs clients; return 1; }
    sleep 1
  done
}

clients_tell() { # fails when one was refused, or a change is not in the audit log once
  clients exec clients -- sh -c 'kill -TERM 1'
  tries=0
  while phase=$(clients get pod clients -o 'jsonpath={.status.phase}') && [ "$phase" = Running ] && [ "$tries" -lt 180 ]; do
    tries=$((tries + 1))
    sleep 1
  done
  clients logs clients | tail -n 30
  [ "$phase" = Succeeded ]
}

no_container_restarted() {
  restarted=$(kubectl --namespace switchyard get pods --selector 'app.kubernetes.io/component!=migration' \
    -o 'jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount}{"\n"}{end}' | grep -v ' 0$' || true)
  [ -z "$restarted" ] || { echo "restarted by their probes, or ended by themselves: $restarted" >&2; return 1; }
}
