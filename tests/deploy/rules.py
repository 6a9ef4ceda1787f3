"""What no schema checks: whether the rendered manifests fit each other and the house rules.

Each rule reads a Cluster and yields one sentence per violation. `planted.py` breaks each once.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from tests.deploy import network
from tests.deploy.cluster import NAME, Cluster, Document, External, Pod, matches, read, sources
from tests.deploy.processes import PORTS, WORKERS, setting_problems

PROBES = {
    "startupProbe": "/health/startup",
    "livenessProbe": "/health/live",
    "readinessProbe": "/health/ready",
}
SECRET_SETTINGS = frozenset({"MOORING_STORE_URL"})
GRACE_SECONDS = 45
SPARE_SECONDS = 10
DEFAULT_PORTS = {"http": 80, "https": 443, "mongodb": 27017, "kafka": 9092}
Rule = Callable[[Cluster], Iterator[str]]


def violations(documents: Iterable[Document], external: External | None = None) -> list[str]:
    cluster = read(documents, external or External())
    return [complaint for rule in RULES for complaint in rule(cluster)]


def every_process_is_deployed(cluster: Cluster) -> Iterator[str]:
    names = {document["metadata"]["name"] for document in cluster.of("Deployment")}
    yield from (f"no Deployment for process {name}" for name in sorted(PORTS.keys() - names))
    if not cluster.of("Job"):
        yield "no Job creates the indexes"


def commands_are_known(cluster: Cluster) -> Iterator[str]:
    for pod, container in cluster.processes:
        expected = ["indexes"] if pod.is_one_shot else ["run", pod.owner]
        if container.get("args") != expected or "command" in container:
            yield f"{pod.title}: args are {container.get('args')}, expected {expected}"
        if not pod.is_one_shot and pod.ports != {"http": PORTS.get(pod.owner)}:
            yield f"{pod.title}: ports are {pod.ports}, expected http {PORTS.get(pod.owner)}"


def selectors_match_their_pods(cluster: Cluster) -> Iterator[str]:
    for workload in cluster.of("Deployment", "StatefulSet"):
        template = workload["spec"]["template"]
        labels = template["metadata"].get("labels", {})
        selectors = [
            workload["spec"]["selector"],
            *(s["labelSelector"] for s in template["spec"].get("topologySpreadConstraints", [])),
        ]
        if not all(matches(selector, labels) for selector in selectors):
            yield f"{_title(workload)}: a selector does not match its own pods"


def selectors_pick_pods(cluster: Cluster) -> Iterator[str]:
    for document in cluster.of("Service", "PodDisruptionBudget"):
        selector = _selector(document)
        picked = {pod.owner for pod in cluster.selected(selector)} if selector else set()
        if picked != {document["metadata"]["name"]}:
            yield f"{_title(document)}: selects {sorted(picked) or 'no pod'}"


def service_ports_are_named_container_ports(cluster: Cluster) -> Iterator[str]:
    for service in cluster.of("Service"):
        for pod in cluster.selected(_selector(service)):
            for port in service["spec"]["ports"]:
                if port.get("targetPort") not in pod.ports:
                    yield f"{_title(service)}: {pod.title} names no port {port.get('targetPort')}"


def references_exist(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods:
        if not cluster.named("ServiceAccount", pod.spec.get("serviceAccountName", "")):
            yield f"{pod.title}: its ServiceAccount does not exist"
        for kind, name, key in _references(pod):
            values = cluster.values(kind, name)
            if values is None:
                yield f"{pod.title}: {kind} {name} does not exist"
            elif key is not None and key not in values:
                yield f"{pod.title}: {kind} {name} has no key {key}"
        yield from _unmounted(cluster, pod)


def probes_ask_the_three_health_paths(cluster: Cluster) -> Iterator[str]:
    for pod, container in cluster.processes:
        if pod.is_one_shot:
            continue
        for probe, path in PROBES.items():
            asked = container.get(probe, {}).get("httpGet", {})
            if asked != {"path": path, "port": "http"}:
                yield f"{pod.title}: {probe} asks {asked or 'nothing'}, expected {path} on http"


def settings_are_those_of_the_process(cluster: Cluster) -> Iterator[str]:
    for pod, container in cluster.processes:
        given = {**cluster.external.settings, **cluster.environment(container)}
        if pod.name in ("indexes", *WORKERS):
            given = cluster.environment(container)
        yield from (f"{pod.title}: {problem}" for problem in setting_problems(pod.name, given))


def secrets_stay_secret(cluster: Cluster) -> Iterator[str]:
    for pod, container in cluster.processes:
        secret = {v["name"] for v in container.get("env", []) if _is_secret(v)}
        for name in sorted(cluster.environment(container).keys() & SECRET_SETTINGS - secret):
            yield f"{pod.title}: {name} must come from a secretKeyRef"
    for document in cluster.of("Secret", "ConfigMap"):
        values = cluster.values(document["kind"], document["metadata"]["name"]) or {}
        if any(re.search(r"://[^/@\s]+@|PRIVATE KEY", value) for value in values.values()):
            yield f"{_title(document)}: holds a credential"


def addresses_lead_to_services(cluster: Cluster) -> Iterator[str]:
    """Each address a process is given names a Service here, its port, and an open way to it."""
    leaving = network.opened(cluster, "egress")
    for pod, container in cluster.processes:
        settings = cluster.environment(container)
        settings.pop("MOORING_OIDC_ISSUER", None)  # a name to compare with, called by nobody
        for setting, value in settings.items():
            for host, port in _addresses(value):
                complaint = _unreachable(cluster, pod, host, port, leaving)
                if complaint and host not in cluster.external.pods:
                    yield f"{pod.title}: {setting} leads to {host}:{port}, {complaint}"


def containers_are_restricted(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods:
        yield from (f"{pod.title}: {complaint}" for complaint in _loose_pod(pod.spec))
        for container in pod.containers:
            if complaint := _loose_container(container):
                yield f"{pod.title}: container {container['name']} {complaint}"
    for account in cluster.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{_title(account)}: mounts a token"


def processes_write_only_to_tmp(cluster: Cluster) -> Iterator[str]:
    for pod, container in cluster.processes:
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        writable = {m["mountPath"]: m for m in container["volumeMounts"] if not m.get("readOnly")}
        expected = {"/tmp"} | _issuer_folder(cluster, container)
        if writable.keys() != expected:
            yield f"{pod.title}: writes to {sorted(writable)}, expected {sorted(expected)}"
        for mount in writable.values():
            if not volumes.get(mount["name"], {}).get("emptyDir", {}).get("sizeLimit"):
                yield f"{pod.title}: {mount['mountPath']} is no emptyDir with a sizeLimit"


def resources_are_bounded(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods:
        for container in pod.containers:
            resources = container.get("resources", {})
            stated = {*resources.get("requests", {}), *resources.get("limits", {})}
            if stated != {"cpu", "memory"} or "memory" not in resources.get("limits", {}):
                yield f"{pod.title}: {container['name']} lacks requests or a memory limit"


def images_are_pinned(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods:
        for container in pod.containers:
            tag = container["image"].partition(":")[2]
            if tag in ("", "latest"):
                yield f"{pod.title}: image {container['image']} has no fixed tag"


def shutdown_fits_the_grace_period(cluster: Cluster) -> Iterator[str]:
    for pod, container in cluster.processes:
        if pod.is_one_shot:
            continue
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
        drain = int(cluster.environment(container).get("MOORING_DRAIN_SECONDS") or 0)
        grace = pod.spec.get("terminationGracePeriodSeconds")
        if not sleep or not drain or grace != GRACE_SECONDS:
            yield f"{pod.title}: preStop sleep, drain seconds or a grace of 45 s is missing"
        elif sleep["seconds"] + drain + SPARE_SECONDS > grace:
            yield f"{pod.title}: preStop and drain leave no {SPARE_SECONDS} s of the grace period"


def replicas_have_a_disruption_budget(cluster: Cluster) -> Iterator[str]:
    budgets = [_selector(budget) for budget in cluster.of("PodDisruptionBudget")]
    for deployment in cluster.of("Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        if deployment["spec"].get("replicas", 1) > 1:
            if not any(matches(selector, labels) for selector in budgets):
                yield f"{_title(deployment)}: several replicas without a PodDisruptionBudget"
            if not deployment["spec"]["template"]["spec"].get("topologySpreadConstraints"):
                yield f"{_title(deployment)}: several replicas without a spread"


def preparation_is_complete(cluster: Cluster) -> Iterator[str]:
    """A release applies what is labelled `prepare` first, so the Job must need nothing else."""
    ready = [d for d in cluster.documents if _is_preparation(d)]
    if cluster.of("Job") and not any(document["kind"] == "Job" for document in ready):
        yield "the index Job is not labelled mooring.io/step=prepare"
    for complaint in references_exist(Cluster(ready, cluster.external)):
        yield f"in the preparation step, {complaint}"


def namespaces_enforce_restricted_pods(cluster: Cluster) -> Iterator[str]:
    for namespace in cluster.of("Namespace"):
        labels = namespace["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{_title(namespace)}: does not enforce restricted pods"
        name = namespace["metadata"]["name"]
        for document in cluster.documents:
            if document is not namespace and document["metadata"].get("namespace") != name:
                yield f"{_title(document)}: is not in the namespace {name}"


RULES: tuple[Rule, ...] = (
    every_process_is_deployed,
    commands_are_known,
    selectors_match_their_pods,
    selectors_pick_pods,
    service_ports_are_named_container_ports,
    references_exist,
    probes_ask_the_three_health_paths,
    settings_are_those_of_the_process,
    secrets_stay_secret,
    addresses_lead_to_services,
    containers_are_restricted,
    processes_write_only_to_tmp,
    resources_are_bounded,
    images_are_pinned,
    shutdown_fits_the_grace_period,
    replicas_have_a_disruption_budget,
    preparation_is_complete,
    namespaces_enforce_restricted_pods,
    network.violations,
)


def _title(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def _selector(document: Document) -> Document:
    """A Service's selector is a plain map; here it gets the form of all others."""
    selector: Document = document["spec"].get("selector", {})
    return {"matchLabels": selector} if document["kind"] == "Service" else selector


def _references(pod: Pod) -> Iterator[tuple[str, str, str | None]]:
    for container in pod.containers:
        yield from sources(container)
    for volume in pod.spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], None
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], None


def _unmounted(cluster: Cluster, pod: Pod) -> Iterator[str]:
    workload = cluster.named(pod.kind, pod.owner) or {}
    claims = workload["spec"].get("volumeClaimTemplates", [])
    volumes = {v["name"] for v in pod.spec.get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in claims}
    for container in pod.containers:
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{pod.title}: mounts a volume {mount['name']} that does not exist"


def _is_secret(variable: Document) -> bool:
    return "secretKeyRef" in variable.get("valueFrom", {})


def _addresses(value: str) -> Iterator[tuple[str, int]]:
    """Host and port of each address in a setting; names with a dot are outside the cluster."""
    parts = urlsplit(value)
    for address in parts.netloc.split(",") if parts.scheme in DEFAULT_PORTS else ():
        host, _, port = address.rpartition("@")[2].partition(":")
        if "." not in host:
            yield host, int(port or DEFAULT_PORTS[parts.scheme])


def _unreachable(
    cluster: Cluster, pod: Pod, host: str, port: int, leaving: frozenset[network.Edge]
) -> str | None:
    service = cluster.named("Service", host)
    if service is None:
        return "which is no Service"
    if port not in [entry["port"] for entry in service["spec"]["ports"]]:
        return "a port that Service does not have"
    targets = {target.labels.get(NAME, "") for target in cluster.selected(_selector(service))}
    if any(network.Edge(pod.name, t, port) in leaving for t in targets):
        return None
    return "which no NetworkPolicy opens"


def _loose_pod(spec: Document) -> Iterator[str]:
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield "mounts a service-account token"
    if spec.get("enableServiceLinks") is not False:
        yield "gets the variables of every Service"
    if spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}:
        yield "shares something of the node"
    if any("hostPath" in volume for volume in spec.get("volumes", [])):
        yield "mounts a path of the node"


def _loose_container(container: Document) -> str | None:
    context = container.get("securityContext", {})
    wanted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    missing = [key for key, value in wanted.items() if context.get(key) != value]
    if context.get("privileged"):
        return "is privileged"
    return f"must set {', '.join(missing)}" if missing else None


def _issuer_folder(cluster: Cluster, container: Document) -> set[str]:
    key = cluster.environment(container).get("MOORING_DEV_ISSUER_KEY")
    return {str(PurePosixPath(key).parent)} if key else set()


def _is_preparation(document: Document) -> bool:
    labels: dict[str, str] = document["metadata"].get("labels", {})
    return labels.get("mooring.io/step") == "prepare"
