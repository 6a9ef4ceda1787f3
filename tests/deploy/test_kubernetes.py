"""The manifests as kustomize renders them: valid by schema, and valid by the house rules."""

import os
import re
from pathlib import Path

import pytest
import yaml

from tests.deploy import rules
from tests.deploy.cluster import External, read
from tests.deploy.planted import PLANTS, Plant, one, process_of
from tests.deploy.tools import BASE, DEV, ROOT, documents, program, rendered, run

# What an operator adds to the base; the dev overlay is complete in itself.
SUPPLIED = External(
    secrets={"mooring-store": {"url": "mongodb://mongodb:27017/?replicaSet=rs0"}},
    settings={
        "MOORING_OIDC_ISSUER": "https://identity.example",
        "MOORING_OIDC_JWKS_URL": "https://identity.example/jwks.json",
    },
    pods=frozenset({"mongodb", "kafka"}),
)
OLDEST_KUBERNETES = "1.30"


def schema_complaints(manifests: str) -> list[str]:
    """What the schemas of Kubernetes say; an unknown kind counts, though the tool exits with 0."""
    done = run(
        [program("kubernetes-validate"), "-k", OLDEST_KUBERNETES, "--strict", "-"], manifests
    )
    passed = re.compile(r"^INFO .* passed for resource ")
    lines = (done.stdout + done.stderr).splitlines()
    complaints = [line for line in lines if line and not passed.match(line)]
    return complaints or ([f"exit {done.returncode}"] if done.returncode or not lines else [])


@pytest.mark.parametrize("folder", [BASE, DEV], ids=["base", "dev"])
def test_every_document_satisfies_the_schema_of_its_kind(folder: Path) -> None:
    assert schema_complaints(rendered(folder)) == []


def test_the_schema_check_finds_a_misspelt_field_and_an_unknown_kind() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "sepc": {}}
    unknown = {"apiVersion": "v1", "kind": "Servise", "metadata": {"name": "b"}}
    complaints = schema_complaints(yaml.safe_dump_all([service, unknown]))
    assert len(complaints) == 2
    assert "'sepc' was unexpected" in complaints[0]
    assert "Couldn't find schema" in complaints[1]


def test_the_base_keeps_every_rule() -> None:
    assert rules.violations(documents(BASE), SUPPLIED) == []


def test_the_dev_overlay_keeps_every_rule_with_nothing_supplied() -> None:
    assert rules.violations(documents(DEV)) == []


def test_the_base_alone_says_what_an_overlay_has_to_supply() -> None:
    complaints = rules.violations(documents(BASE))
    assert "Deployment/points-api: Secret mooring-store does not exist" in complaints
    assert any("points-api: MOORING_OIDC_ISSUER: is required" in line for line in complaints)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.says)
def test_a_planted_violation_is_found(plant: Plant) -> None:
    broken = documents(DEV)
    plant.breaks(broken)
    found = list(plant.rule(read(broken, External())))
    assert any(plant.says in complaint for complaint in found), found
    assert set(found) <= set(rules.violations(broken))


def test_every_rule_has_a_planted_violation() -> None:
    assert {plant.rule for plant in PLANTS} == set(rules.RULES)


def test_the_base_holds_no_secret() -> None:
    assert [d for d in documents(BASE) if d["kind"] == "Secret"] == []


def test_the_index_job_is_named_after_the_release() -> None:
    job = one(documents(DEV), "Job", "indexes")
    tag = process_of([job], "indexes", "Job")["image"].partition(":")[2]
    assert job["metadata"]["name"] == f"indexes-{tag}"


def test_only_the_gateway_has_the_development_key() -> None:
    manifests = [d for d in documents(DEV) if "issuer-key" in str(d) or "dev-issuer" in str(d)]
    kinds = {(d["kind"], d["metadata"]["name"]) for d in manifests}
    policies = {("NetworkPolicy", "apis-to-dev-issuer"), ("NetworkPolicy", "dev-issuer-from-apis")}
    assert kinds - policies == {("Deployment", "gateway")}


def test_a_brand_puts_its_own_programme_in_place_of_the_default(tmp_path: Path) -> None:
    """The component is used as deploy/README.md says, by an overlay of which this is the least."""
    (tmp_path / "programme.yaml").write_text("name: a brand's own\n")
    overlay = {
        "resources": [os.path.relpath(BASE, tmp_path)],
        "components": [os.path.relpath(ROOT / "deploy/k8s/components/programme", tmp_path)],
        "configMapGenerator": [{"name": "mooring-programme", "files": ["programme.yaml"]}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    own = documents(tmp_path)
    assert rules.violations(own, SUPPLIED) == []
    process = process_of(own, "events-worker")
    assert {"name": "MOORING_PROGRAMME", "value": "/etc/mooring/programme/programme.yaml"} in (
        process["env"]
    )
