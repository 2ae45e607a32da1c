#!/bin/sh
# Ask a real API server whether it would take each overlay, and the base with each component: sh deploy/k8s/dry-run.sh
# Nothing is changed, but that the namespace has to be there: where it is not, it is made for this and removed again.
# A warning counts as a refusal (Pod Security's are warnings for whoever makes pods through a Deployment or a Job).
# What needs kinds of an operator that the cluster does not have is named, and not asked.
set -eu
cd "$(dirname "$0")/../.."
out=.data/dry-run
mkdir -p "$out/joined"
kubectl api-versions | sort >"$out/known"

if ! kubectl get namespace switchyard >/dev/null 2>&1; then
  kubectl apply -f deploy/k8s/base/namespace.yaml >/dev/null
  trap 'kubectl delete namespace switchyard >/dev/null' EXIT
fi

asked() { # name, kustomization
  kubectl kustomize "$2" >"$out/built.yaml"
  unknown=$(sed -n 's/^apiVersion: //p' "$out/built.yaml" | sort -u | comm -23 - "$out/known" | paste -sd ' ')
  if [ -n "$unknown" ]; then
    echo "$1: not asked, this cluster does not know $unknown"
  elif kubectl apply --dry-run=server --warnings-as-errors -f "$out/built.yaml" >"$out/said" 2>&1; then
    echo "$1: all $(wc -l <"$out/said") objects would be taken"
  else
    echo "$1: refused" >&2
    cat "$out/said" >&2
    exit 1
  fi
}

for overlay in deploy/k8s/overlays/*/; do
  asked "$(basename "$overlay")" "$overlay"
done
for component in deploy/k8s/components/*/; do
  printf 'namespace: switchyard\nresources: [../../../deploy/k8s/base]\ncomponents: [../../../%s]\n' "${component%/}" \
    >"$out/joined/kustomization.yaml"
  asked "base with $(basename "$component")" "$out/joined"
done
