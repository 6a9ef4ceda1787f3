#!/bin/sh
# Hold the rendered manifests against checkov's checks, except those in checkov.yaml. It has its own
# environment in .cache/checkov, because it brings a hundred packages with bounds of their own.
set -eu
cd "$(dirname "$0")/../.."
version=3.3.30
python=${PYTHON:-.venv/bin/python}
home=.cache/checkov
folder=$home/$version

if [ ! -x "$folder/bin/checkov" ]; then
    rm -rf "$folder"
    if uv=$(command -v uv || command -v "$(dirname "$python")/uv"); then
        "$python" -m venv --without-pip "$folder"
        "$uv" pip install --quiet --python "$folder/bin/python" "checkov==$version"
    else
        "$python" -m venv "$folder"
        "$folder/bin/pip" install --quiet --disable-pip-version-check "checkov==$version"
    fi
fi

# The dev overlay holds all of the base and, unlike the base, has a namespace.
"$python" -m tests.deploy.tools deploy/k8s/overlays/dev >"$home/dev.yaml"
"$folder/bin/checkov" --config-file tests/deploy/checkov.yaml --skip-download \
    --file "$home/dev.yaml"
echo "checkov: no finding that is not justified"
