#!/bin/sh
# Rehearse the platform on the cluster that KUBECONFIG names: see README.md beside this. Makes the namespaces `switchyard` and
# `switchyard-trial`, and removes both at the end.
#   LOAD='kind load docker-image' sh deploy/trial/k8s.sh    LOAD is a command that brings the named images onto the nodes
#   KEEP=1 … sh deploy/trial/k8s.sh                         leave it running
# BUILD=… builds the images (`docker compose build`); STORES=offline takes the stores that images.sh makes.
set -eu
cd "$(dirname "$0")/../.."
: "${LOAD:?a command that brings images onto the nodes, or: true}"
out=.data/rehearsal
mkdir -p "$out"
SERVICES="iam flags experiments audit compute"
ours() { kubectl --namespace switchyard "$@"; }
. deploy/trial/clients.sh
began=$(date +%s)
said() { printf '\n== %s (after %s s)\n' "$*" "$(($(date +%s) - began))"; }

said "images"
${BUILD:-docker compose build --quiet}
$LOAD $(for name in $SERVICES gateway; do echo "switchyard/$name:dev"; done) \
  $([ "${STORES:-}" != offline ] || echo trial/postgres:18 trial/valkey:9)

said "apply"
printf 'resources: [../../deploy/trial/k8s]\n' >"$out/kustomization.yaml"
[ "${STORES:-}" != offline ] || cat >>"$out/kustomization.yaml" <<'END'
images:
  - {name: postgres, newName: trial/postgres, newTag: "18"}
  - {name: valkey/valkey, newName: trial/valkey, newTag: "9"}
END
[ -n "${KEEP:-}" ] || trap 'kubectl delete --wait=false namespace switchyard switchyard-trial >/dev/null' EXIT
kubectl apply --warnings-as-errors -k "$out"
applied() { ours wait --for=condition=complete --timeout=10m job --all && ours rollout status --timeout=10m deployment; }
applied

# Not kubectl's word `configured`: it says that for what its own merge sends each time and the server takes for no change (the selector of
# every PodDisruptionBudget, a volume claim's defaults, base64 that kustomize has broken into lines).
said "applied once more: nothing changes but Jobs that have removed themselves"
generations() { ours get deployment,statefulset,poddisruptionbudget,networkpolicy -o 'custom-columns=N:.kind,M:.metadata.name,G:.metadata.generation'; }
kubectl diff -k "$out" >"$out/differs" || [ $? = 1 ] || exit 1
if grep '^diff ' "$out/differs" | grep -v '/batch\.v1\.Job\.'; then cat "$out/differs" >&2; exit 1; fi
generations >"$out/before"
kubectl apply --warnings-as-errors -k "$out" >"$out/again"
applied
generations | diff "$out/before" - || { echo "a second apply changed what it had no reason to" >&2; exit 1; }

said "nobody is root, and the root file system holds"
for name in $SERVICES gateway; do
  ours exec "deployment/$name" -c "$name" -- sh -c 'test "$(id -u)" = 10001 && ! touch /app/x /etc/x /venv/x 2>/dev/null' \
    || { echo "$name: is root, or can write" >&2; exit 1; }
done

said "who reaches whom"
kubectl apply -f deploy/trial/k8s/namespace.yaml
kubectl delete --ignore-not-found -f deploy/trial/k8s/strangers.yaml
kubectl apply --warnings-as-errors -f deploy/trial/k8s/strangers.yaml
kubectl wait --for=condition=Ready --timeout=3m -f deploy/trial/k8s/strangers.yaml
.venv/bin/python -m deploy.trial.reach
kubectl delete -f deploy/trial/k8s/strangers.yaml

said "the main job, through the Service"
ours port-forward service/gateway 18081:80 >"$out/forward.log" & forward=$!
tries=0
until .venv/bin/python -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:18081/health", timeout=2)' 2>/dev/null; do
  tries=$((tries + 1)); [ "$tries" -lt 60 ] || { kill "$forward"; exit 1; }
  sleep 1
done
SWITCHYARD_URL=http://127.0.0.1:18081 SWITCHYARD_ADMIN_PASSWORD=changeme \
  .venv/bin/python -m pytest -q -p no:cacheprovider tests/journeys/test_main_job.py || { kill "$forward"; exit 1; }
kill "$forward"

said "clients"
clients_ask

said "everything restarted, one after another"
for name in $SERVICES gateway; do
  ours rollout restart "deployment/$name"
  ours rollout status --timeout=5m "deployment/$name"
done

said "one pod of each deleted"
for name in $SERVICES gateway; do
  ours delete --wait=false "$(ours get pods -l "app.kubernetes.io/name=$name,app.kubernetes.io/component!=migration" -o name | head -n 1)"
done
ours rollout status --timeout=5m deployment

stores=$(ours get pods -l app.kubernetes.io/component=store -o 'jsonpath={.items[*].spec.nodeName}')
node=$(kubectl get nodes --field-selector spec.unschedulable=false -o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' \
  | while read -r name; do case " $stores " in *" $name "*) ;; *) echo "$name" ;; esac; done | head -n 1)
if [ -n "$node" ]; then
  said "$node drained, as far as the budgets allow at a time"
  kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --pod-selector 'app.kubernetes.io/part-of=switchyard' --timeout=10m
  ours rollout status --timeout=5m deployment
  kubectl uncordon "$node"
else
  said "no node without a store: none drained"
fi

said "what the clients were told"
clients_tell || failed=1
no_container_restarted || failed=1
exit "${failed:-0}"
