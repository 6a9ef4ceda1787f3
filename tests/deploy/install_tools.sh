#!/bin/sh
# Get what tests/deploy needs beyond the Python packages of the dev extra: kustomize, alone or in
# kubectl. Does nothing where one is there already; otherwise builds a pinned version into the
# ignored folder .cache/tools (about 40 s on two cores).
set -eu
cd "$(dirname "$0")/../.."
version=v5.7.1
tools=$PWD/.cache/tools

if [ -x "$tools/kustomize" ] || command -v kustomize >/dev/null; then
    exit 0
fi
# The kubectl of Debian 12 (1.20) has a kustomize without components, too old to render anything.
if command -v kubectl >/dev/null && kubectl kustomize deploy/k8s/overlays/dev >/dev/null 2>&1; then
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "tests/deploy needs kubectl >= 1.27, kustomize >= 5, or Go >= 1.22 to build kustomize" >&2
    exit 1
fi
mkdir -p "$tools"
# The modules go to a folder of their own, which is 300 MB and of no further use.
modules=$(mktemp -d)
trap 'GOMODCACHE=$modules go clean -modcache; rm -rf "$modules"' EXIT
GOMODCACHE=$modules GOBIN=$tools go install "sigs.k8s.io/kustomize/kustomize/v5@$version"
echo "installed kustomize $version in $tools"
