"""One broken copy of the rendered manifests per thing that a rule promises to find."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.deploy import network, rules

Document = dict[str, Any]
Documents = list[Document]


@dataclass(frozen=True)
class Plant:
    rule: rules.Rule
    breaks: Callable[[Documents], object]
    says: str


def one(documents: Documents, kind: str, name: str) -> Document:
    """A document by its name, or by its name before kustomize added a hash."""
    return next(
        d
        for d in documents
        if d["kind"] == kind and f"{d['metadata']['name']}-".startswith(f"{name}-")
    )


def pod_of(documents: Documents, name: str, kind: str = "Deployment") -> Document:
    spec: Document = one(documents, kind, name)["spec"]["template"]["spec"]
    return spec


def process_of(documents: Documents, name: str, kind: str = "Deployment") -> Document:
    container: Document = pod_of(documents, name, kind)["containers"][0]
    return container


def policy(documents: Documents, name: str) -> Document:
    spec: Document = one(documents, "NetworkPolicy", name)["spec"]
    return spec


def without(kind: str, name: str) -> Callable[[Documents], None]:
    return lambda documents: documents.remove(one(documents, kind, name))


def add_environment(name: str, value: str, process: str) -> Callable[[Documents], None]:
    def breaks(documents: Documents) -> None:
        variables = process_of(documents, process).setdefault("env", [])
        variables[:] = [v for v in variables if v["name"] != name]
        variables.append({"name": name, "value": value})

    return breaks


def change_setting(map_name: str, key: str, value: str) -> Callable[[Documents], None]:
    return lambda documents: one(documents, "ConfigMap", map_name)["data"].update({key: value})


def _two_replicas_without_budget(documents: Documents) -> None:
    one(documents, "Deployment", "points-api")["spec"]["replicas"] = 2
    without("PodDisruptionBudget", "points-api")(documents)


def _two_replicas_without_spread(documents: Documents) -> None:
    one(documents, "Deployment", "points-api")["spec"]["replicas"] = 2
    pod_of(documents, "points-api").pop("topologySpreadConstraints")


def _open_kafka_to_apis(documents: Documents) -> None:
    for name, side in (("workers-to-kafka", None), ("kafka-from-workers", "from")):
        spec = policy(documents, name)
        selector = spec["ingress"][0][side][0]["podSelector"] if side else spec["podSelector"]
        selector["matchExpressions"][0]["values"].append("api")


def _forget_secret_label(documents: Documents) -> None:
    one(documents, "Secret", "mooring-store")["metadata"]["labels"].pop("mooring.io/step")


PLANTS = (
    Plant(
        rules.every_process_is_deployed,
        without("Deployment", "points-worker"),
        "no Deployment for process points-worker",
    ),
    Plant(rules.every_process_is_deployed, without("Job", "indexes"), "no Job creates the indexes"),
    Plant(
        rules.commands_are_known,
        lambda d: process_of(d, "points-api").update(args=["run", "point-api"]),
        "Deployment/points-api: args are ['run', 'point-api']",
    ),
    Plant(
        rules.commands_are_known,
        lambda d: process_of(d, "points-api")["ports"][0].update(containerPort=8101),
        "Deployment/points-api: ports are {'http': 8101}",
    ),
    Plant(
        rules.selectors_match_their_pods,
        lambda d: one(d, "Deployment", "gateway")["spec"]["selector"]["matchLabels"].update(
            {"app.kubernetes.io/name": "gate"}
        ),
        "Deployment/gateway: a selector does not match its own pods",
    ),
    Plant(
        rules.selectors_match_their_pods,
        lambda d: pod_of(d, "gateway")["topologySpreadConstraints"][1]["labelSelector"].update(
            matchLabels={"app": "gateway"}
        ),
        "Deployment/gateway: a selector does not match its own pods",
    ),
    Plant(
        rules.selectors_pick_pods,
        lambda d: one(d, "Service", "events-api")["spec"]["selector"].update(
            {"app.kubernetes.io/name": "event-api"}
        ),
        "Service/events-api: selects no pod",
    ),
    Plant(
        rules.selectors_pick_pods,
        lambda d: one(d, "PodDisruptionBudget", "gateway")["spec"].update(
            selector={"matchLabels": {"app.kubernetes.io/component": "api"}}
        ),
        "PodDisruptionBudget/gateway: selects ['events-api', 'members-api', 'points-api']",
    ),
    Plant(
        rules.service_ports_are_named_container_ports,
        lambda d: one(d, "Service", "gateway")["spec"]["ports"][0].update(targetPort="web"),
        "Service/gateway: Deployment/gateway names no port web",
    ),
    Plant(
        rules.references_exist,
        without("ConfigMap", "mooring-upstreams"),
        "Deployment/gateway: ConfigMap mooring-upstreams",
    ),
    Plant(
        rules.references_exist,
        lambda d: process_of(d, "points-api")["env"][0]["valueFrom"]["secretKeyRef"].update(
            key="uri"
        ),
        "has no key uri",
    ),
    Plant(
        rules.references_exist,
        without("ServiceAccount", "points-api"),
        "Deployment/points-api: its ServiceAccount does not exist",
    ),
    Plant(
        rules.references_exist,
        lambda d: pod_of(d, "points-api")["volumes"].append(
            {"name": "programme", "configMap": {"name": "mooring-programme"}}
        ),
        "Deployment/points-api: ConfigMap mooring-programme does not exist",
    ),
    Plant(
        rules.references_exist,
        lambda d: pod_of(d, "points-api").pop("volumes"),
        "Deployment/points-api: mounts a volume tmp that does not exist",
    ),
    Plant(
        rules.probes_ask_the_three_health_paths,
        lambda d: process_of(d, "events-worker")["livenessProbe"]["httpGet"].update(
            path="/health/ready"
        ),
        "Deployment/events-worker: livenessProbe asks",
    ),
    Plant(
        rules.probes_ask_the_three_health_paths,
        lambda d: process_of(d, "gateway").pop("startupProbe"),
        "Deployment/gateway: startupProbe asks nothing",
    ),
    Plant(
        rules.settings_are_those_of_the_process,
        add_environment("MOORING_MEMBER_URL", "http://members-api:8101", "gateway"),
        "Deployment/gateway: MOORING_MEMBER_URL is no setting of gateway",
    ),
    Plant(
        rules.settings_are_those_of_the_process,
        add_environment("MOORING_BUS_URL", "kafka://kafka:9092", "points-api"),
        "Deployment/points-api: MOORING_BUS_URL is no setting of api",
    ),
    Plant(
        rules.settings_are_those_of_the_process,
        change_setting("mooring-settings", "MOORING_LOG_LEVEL", "chatty"),
        "Deployment/gateway: MOORING_LOG_LEVEL: 'chatty' is not known",
    ),
    Plant(
        rules.settings_are_those_of_the_process,
        lambda d: process_of(d, "points-worker")["envFrom"].pop(),
        "Deployment/points-worker: MOORING_BUS_URL: is required and missing",
    ),
    Plant(
        rules.secrets_stay_secret,
        add_environment("MOORING_STORE_URL", "mongodb://mongodb:27017", "points-api"),
        "Deployment/points-api: MOORING_STORE_URL must come from a secretKeyRef",
    ),
    Plant(
        rules.secrets_stay_secret,
        change_setting("mooring-settings", "X", "mongodb://club:pass@db:27017"),
        "holds a credential",
    ),
    Plant(
        rules.addresses_lead_to_services,
        change_setting("mooring-upstreams", "MOORING_POINTS_URL", "http://points:8102"),
        "Deployment/gateway: MOORING_POINTS_URL leads to points:8102, which is no Service",
    ),
    Plant(
        rules.addresses_lead_to_services,
        change_setting("mooring-upstreams", "MOORING_POINTS_URL", "http://points-api:8103"),
        "MOORING_POINTS_URL leads to points-api:8103, a port that Service does not have",
    ),
    Plant(
        rules.addresses_lead_to_services,
        without("NetworkPolicy", "apis-to-dev-issuer"),
        "MOORING_OIDC_JWKS_URL leads to gateway:8080, which no NetworkPolicy opens",
    ),
    Plant(
        rules.addresses_lead_to_services,
        add_environment("MOORING_OIDC_JWKS_URL", "http://gateway:8080/jwks.json", "gateway"),
        "Deployment/gateway: MOORING_OIDC_JWKS_URL leads to gateway:8080, which no NetworkPolicy",
    ),
    Plant(
        rules.containers_are_restricted,
        lambda d: process_of(d, "gateway")["securityContext"].update(readOnlyRootFilesystem=False),
        "Deployment/gateway: container mooring must set readOnlyRootFilesystem",
    ),
    Plant(
        rules.containers_are_restricted,
        lambda d: process_of(d, "gateway")["securityContext"].update(privileged=True),
        "Deployment/gateway: container mooring is privileged",
    ),
    Plant(
        rules.containers_are_restricted,
        lambda d: pod_of(d, "kafka", "StatefulSet")["securityContext"].update(runAsUser=0),
        "StatefulSet/kafka: may run as root",
    ),
    Plant(
        rules.containers_are_restricted,
        lambda d: pod_of(d, "gateway")["securityContext"].pop("seccompProfile"),
        "Deployment/gateway: has no seccomp profile",
    ),
    Plant(
        rules.containers_are_restricted,
        lambda d: pod_of(d, "gateway").pop("enableServiceLinks"),
        "Deployment/gateway: gets the variables of every Service",
    ),
    Plant(
        rules.containers_are_restricted,
        lambda d: pod_of(d, "gateway").pop("automountServiceAccountToken"),
        "Deployment/gateway: mounts a service-account token",
    ),
    Plant(
        rules.containers_are_restricted,
        lambda d: pod_of(d, "gateway").update(hostNetwork=True),
        "Deployment/gateway: shares something of the node",
    ),
    Plant(
        rules.containers_are_restricted,
        lambda d: pod_of(d, "gateway")["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
        "Deployment/gateway: mounts a path of the node",
    ),
    Plant(
        rules.containers_are_restricted,
        lambda d: one(d, "ServiceAccount", "gateway").pop("automountServiceAccountToken"),
        "ServiceAccount/gateway: mounts a token",
    ),
    Plant(
        rules.processes_write_only_to_tmp,
        lambda d: process_of(d, "points-api")["volumeMounts"][0].update(mountPath="/app"),
        "Deployment/points-api: writes to ['/app']",
    ),
    Plant(
        rules.processes_write_only_to_tmp,
        lambda d: pod_of(d, "points-api")["volumes"][0].update(emptyDir={}),
        "Deployment/points-api: /tmp is no emptyDir with a sizeLimit",
    ),
    Plant(
        rules.resources_are_bounded,
        lambda d: process_of(d, "points-api")["resources"].pop("limits"),
        "Deployment/points-api: mooring lacks requests or a memory limit",
    ),
    Plant(
        rules.images_are_pinned,
        lambda d: process_of(d, "points-api").update(image="mooring:latest"),
        "Deployment/points-api: image mooring:latest has no fixed tag",
    ),
    Plant(
        rules.images_are_pinned,
        lambda d: process_of(d, "points-api").update(image="mooring"),
        "Deployment/points-api: image mooring has no fixed tag",
    ),
    Plant(
        rules.shutdown_fits_the_grace_period,
        change_setting("mooring-settings", "MOORING_DRAIN_SECONDS", "40"),
        "Deployment/gateway: preStop and drain leave no 10 s",
    ),
    Plant(
        rules.shutdown_fits_the_grace_period,
        lambda d: process_of(d, "gateway").pop("lifecycle"),
        "Deployment/gateway: preStop sleep, drain seconds or a grace of 45 s is missing",
    ),
    Plant(
        rules.replicas_have_a_disruption_budget,
        _two_replicas_without_budget,
        "Deployment/points-api: several replicas without a PodDisruptionBudget",
    ),
    Plant(
        rules.replicas_have_a_disruption_budget,
        _two_replicas_without_spread,
        "Deployment/points-api: several replicas without a spread",
    ),
    Plant(
        rules.preparation_is_complete,
        _forget_secret_label,
        "in the preparation step, Job/indexes-dev: Secret mooring-store",
    ),
    Plant(
        rules.preparation_is_complete,
        lambda d: one(d, "Job", "indexes")["metadata"]["labels"].pop("mooring.io/step"),
        "the index Job is not labelled mooring.io/step=prepare",
    ),
    Plant(
        rules.namespaces_enforce_restricted_pods,
        lambda d: one(d, "Namespace", "mooring-dev")["metadata"].update(labels={}),
        "Namespace/mooring-dev: does not enforce restricted pods",
    ),
    Plant(
        rules.namespaces_enforce_restricted_pods,
        lambda d: one(d, "Service", "gateway")["metadata"].update(namespace="default"),
        "Service/gateway: is not in the namespace mooring-dev",
    ),
    Plant(
        network.violations,
        without("NetworkPolicy", "default-deny"),
        "no NetworkPolicy denies everything by default",
    ),
    Plant(
        network.violations,
        _open_kafka_to_apis,
        "opens points-api → kafka:9092, which is not in the allowed list",
    ),
    Plant(
        network.violations,
        lambda d: policy(d, "services-to-store")["podSelector"]["matchExpressions"][0][
            "values"
        ].append("gateway"),
        "opens gateway → mongodb:27017, which is not in the allowed list",
    ),
    Plant(
        network.violations,
        lambda d: policy(d, "apis-from-gateway")["podSelector"].update(
            matchLabels={"app.kubernetes.io/component": "apis"}
        ),
        "NetworkPolicy/apis-from-gateway: podSelector matches no pod",
    ),
    Plant(
        network.violations,
        lambda d: policy(d, "gateway-to-apis")["egress"][0]["to"][0].update(
            podSelector={"matchLabels": {"app": "x"}}
        ),
        "NetworkPolicy/gateway-to-apis: an egress podSelector matches no pod",
    ),
    Plant(
        network.violations,
        lambda d: policy(d, "gateway-to-apis")["egress"].append({}),
        "an egress rule without peers or ports opens all of them",
    ),
    Plant(
        network.violations,
        lambda d: policy(d, "gateway-to-apis")["egress"][0]["ports"].append({"port": 9000}),
        "NetworkPolicy/gateway-to-apis: opens port 9000, on which no pod listens",
    ),
    Plant(
        network.violations,
        lambda d: policy(d, "gateway-to-apis").update(policyTypes=["Ingress"]),
        "NetworkPolicy/gateway-to-apis: egress rules without that policy type have no effect",
    ),
    Plant(
        network.violations,
        lambda d: policy(d, "gateway-to-apis")["egress"][0]["to"].append(
            {"ipBlock": {"cidr": "0.0.0.0/0"}}
        ),
        "opens gateway → 0.0.0.0/0:8101, which is not in the allowed list",
    ),
    Plant(
        network.violations,
        lambda d: policy(d, "ingress-to-gateway")["ingress"][0]["from"][0].update(
            namespaceSelector={}
        ),
        "opens every namespace → gateway:8080, which is not in the allowed list",
    ),
    Plant(
        network.violations,
        lambda d: policy(d, "ingress-to-gateway")["ingress"].clear(),
        f"no ingress policy opens {network.INGRESS} → gateway:8080",
    ),
    Plant(
        network.violations,
        without("NetworkPolicy", "store-from-services"),
        "no ingress policy opens points-worker → mongodb:27017",
    ),
    Plant(
        network.violations,
        without("NetworkPolicy", "workers-to-kafka"),
        "no egress policy opens points-worker → kafka:9092",
    ),
    Plant(
        network.violations,
        without("NetworkPolicy", "all-to-dns"),
        "no egress policy opens DNS for gateway",
    ),
)
