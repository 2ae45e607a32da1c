#!/bin/sh
# From an older release to this checkout and back again, under clients, on the cluster that KUBECONFIG names: see README.md beside this.
#   FROM=v0.1 LOAD='kind load docker-image' sh deploy/trial/upgrade.sh     FROM is the commit that is replaced
# Everything else as in k8s.sh. Each release is applied as today's kustomization of the rehearsal over its own base, and with
# today's stores: what is replaced is the platform. LOAD=true builds no image of FROM either: switchyard/<part>:old is there.
set -eu
cd "$(dirname "$0")/../.."
: "${LOAD:?a command that brings images onto the nodes, or: true}" "${FROM:?the commit that is replaced}"
out=.data/upgrade
PARTS="iam flags experiments audit compute gateway"
ours() { kubectl --namespace switchyard "$@"; }
began=$(date +%s)
said() { printf '\n== %s (after %s s)\n' "$*" "$(($(date +%s) - began))"; }
. deploy/trial/clients.sh
rm -rf "$out"
mkdir -p "$out/old/tree" "$out/new"

said "images of $FROM, and of this checkout"
git archive "$FROM" | tar -x -C "$out/old/tree"
mkdir -p "$out/old/tree/deploy/trial/k8s"
cp deploy/trial/k8s/kustomization.yaml "$out/old/tree/deploy/trial/k8s/"
cp deploy/k8s/overlays/dev/stores.yaml "$out/old/tree/deploy/k8s/overlays/dev/"
for part in $PARTS; do
  dockerfile=services/$part/Dockerfile
  [ "$part" != gateway ] || dockerfile=gateway/Dockerfile
  [ "$LOAD" = true ] || docker build --quiet ${PYTHON_IMAGE:+--build-arg "PYTHON_IMAGE=$PYTHON_IMAGE"} \
    --file "$out/old/tree/$dockerfile" --tag "switchyard/$part:old" "$out/old/tree"
done
${BUILD:-docker compose build --quiet}
$LOAD $(for part in $PARTS; do echo "switchyard/$part:old" "switchyard/$part:dev"; done) \
  $([ "${STORES:-}" != offline ] || echo trial/postgres:18 trial/valkey:9)

release() { # folder, the overlay's path from there, tag
  { printf 'resources: [%s]\nimages:\n' "$2"
    [ "${STORES:-}" != offline ] || cat <<'END'
  - {name: postgres, newName: trial/postgres, newTag: "18"}
  - {name: valkey/valkey, newName: trial/valkey, newTag: "9"}
END
    for part in $PARTS; do echo "  - {name: switchyard/$part, newTag: $3}"; done
  } >"$out/$1/kustomization.yaml"
}
release old tree/deploy/trial/k8s old
release new ../../../deploy/trial/k8s dev

# Two releases with one revision share a Job's name, and a Job cannot be changed: the finished one goes first (deploy/k8s/README.md).
rolled() { # folder
  ours delete --ignore-not-found job --all
  kubectl apply --warnings-as-errors -k "$out/$1" >"$out/applied"
  ours rollout status --timeout=10m deployment
  ours get deployment -o 'custom-columns=NAME:.metadata.name,IMAGE:.spec.template.spec.containers[0].image,READY:.status.readyReplicas'
}
[ -n "${KEEP:-}" ] || trap 'kubectl delete --wait=false namespace switchyard switchyard-trial >/dev/null' EXIT

said "$FROM applied"
rolled old
ours wait --for=condition=complete --timeout=10m job --all

said "clients"
clients_ask

said "this checkout applied"
rolled new
ours wait --for=condition=complete --timeout=10m job --all
ours get jobs -o name

# Its pods work with a schema from after their time; whether its Jobs end well is told and not asked (an older `migrate` did not).
said "$FROM applied again: the way back"
rolled old
ours get jobs

said "what the clients were told"
clients_tell || failed=1
no_container_restarted || failed=1
exit "${failed:-0}"
