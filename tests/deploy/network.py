"""Which connections the network policies open, and which there should be."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.deploy.cluster import Cluster, Document
from tests.deploy.processes import APIS, WORKERS


class Edge(NamedTuple):
    source: str
    destination: str
    port: int


INGRESS = "namespaces labelled mooring.io/ingress=true"
DNS = "kube-dns"
ALLOWED = frozenset(
    [
        Edge(INGRESS, "gateway", 8080),
        *(Edge("gateway", api, port) for api, port in APIS.items()),
        *(Edge(process, "mongodb", 27017) for process in (*APIS, *WORKERS, "indexes")),
        *(Edge(process, "kafka", 9092) for process in (*WORKERS, "indexes")),
    ]
)
# Only where the gateway is the issuer, that is in development.
DEV_ISSUER = frozenset(Edge(api, "gateway", 8080) for api in APIS)


def violations(cluster: Cluster) -> Iterator[str]:
    policies = cluster.of("NetworkPolicy")
    if not any(_is_default_deny(policy) for policy in policies):
        yield "no NetworkPolicy denies everything by default"
    for policy in policies:
        yield from _malformed(cluster, policy)
    leaving, arriving = opened(cluster, "egress"), opened(cluster, "ingress")
    allowed = ALLOWED | (DEV_ISSUER if has_dev_issuer(cluster) else frozenset())
    for edge in sorted((leaving | arriving) - allowed):
        if edge.destination != DNS:
            yield f"a NetworkPolicy opens {describe(edge)}, which is not in the allowed list"
    yield from _half_open(cluster, allowed, leaving, arriving)


def opened(cluster: Cluster, direction: str) -> frozenset[Edge]:
    """Every edge that the policies of one direction open, in the names of pods."""
    return frozenset(
        edge
        for policy in cluster.of("NetworkPolicy")
        for rule in policy["spec"].get(direction, [])
        for edge in _edges(cluster, policy, direction, rule)
    )


def describe(edge: Edge) -> str:
    return f"{edge.source} → {edge.destination}:{edge.port}"


def has_dev_issuer(cluster: Cluster) -> bool:
    containers = (container for _, container in cluster.processes)
    return any("MOORING_DEV_ISSUER_KEY" in cluster.environment(c) for c in containers)


def _edges(cluster: Cluster, policy: Document, direction: str, rule: Document) -> Iterator[Edge]:
    own = [pod.name for pod in cluster.selected(policy["spec"]["podSelector"])]
    far = [name for peer in _peers(rule, direction) for name in _names(cluster, peer)]
    pairs = [(a, b) for a in own for b in far]
    for near, other in pairs:
        source, destination = (near, other) if direction == "egress" else (other, near)
        for port in rule.get("ports", []):
            if _listens(cluster, destination, port["port"]):
                yield Edge(source, destination, port["port"])


def _listens(cluster: Cluster, name: str, port: int | str) -> bool:
    """A port range opened for several pods opens on each only what it listens on."""
    pods = [pod for pod in cluster.pods if pod.name == name]
    return not pods or any(port in pod.ports.values() for pod in pods)


def _peers(rule: Document, direction: str) -> list[Document]:
    peers: list[Document] = rule.get("to" if direction == "egress" else "from", [])
    return peers


def _names(cluster: Cluster, peer: Document) -> list[str]:
    """The far ends of a rule. What is no pod of the render is named by what selects it."""
    if "ipBlock" in peer:
        return [peer["ipBlock"]["cidr"]]
    if "namespaceSelector" in peer:
        return [_foreign(peer)]
    pods = [pod.name for pod in cluster.selected(peer["podSelector"])]
    wanted = set(peer["podSelector"].get("matchLabels", {}).values())
    return pods or sorted(wanted & cluster.external.pods)


def _foreign(peer: Document) -> str:
    namespace = peer["namespaceSelector"].get("matchLabels", {})
    pods = peer.get("podSelector", {}).get("matchLabels", {})
    if namespace == {"kubernetes.io/metadata.name": "kube-system"} and pods == {
        "k8s-app": "kube-dns"
    }:
        return DNS
    labels = ",".join(f"{key}={value}" for key, value in {**namespace, **pods}.items())
    return f"namespaces labelled {labels}" if labels else "every namespace"


def _malformed(cluster: Cluster, policy: Document) -> Iterator[str]:
    title = f"NetworkPolicy/{policy['metadata']['name']}"
    if not cluster.selected(policy["spec"]["podSelector"]):
        yield f"{title}: podSelector matches no pod"
    for direction in ("egress", "ingress"):
        rules = policy["spec"].get(direction, [])
        if rules and direction.title() not in policy["spec"]["policyTypes"]:
            yield f"{title}: {direction} rules without that policy type have no effect"
        for rule in rules:
            for complaint in _malformed_rule(cluster, policy, direction, rule):
                yield f"{title}: {complaint}"


def _malformed_rule(
    cluster: Cluster, policy: Document, direction: str, rule: Document
) -> Iterator[str]:
    if not _peers(rule, direction) or not rule.get("ports"):
        yield f"an {direction} rule without peers or ports opens all of them"
    if any(not _names(cluster, peer) for peer in _peers(rule, direction)):
        yield f"an {direction} podSelector matches no pod"
    useful = {edge.port for edge in _edges(cluster, policy, direction, rule)}
    for port in rule.get("ports", []):
        if port["port"] not in useful:
            yield f"opens port {port['port']}, on which no pod listens"


def _is_default_deny(policy: Document) -> bool:
    spec = policy["spec"]
    both = set(spec.get("policyTypes", [])) == {"Ingress", "Egress"}
    return spec["podSelector"] == {} and both and "ingress" not in spec and "egress" not in spec


def _half_open(
    cluster: Cluster,
    allowed: frozenset[Edge],
    leaving: frozenset[Edge],
    arriving: frozenset[Edge],
) -> Iterator[str]:
    """A connection needs both ends: egress where it starts, ingress where it arrives."""
    here = {pod.name for pod in cluster.pods}
    for edge in sorted(allowed):
        if edge.source in here and edge not in leaving:
            yield f"no egress policy opens {describe(edge)}"
        if edge.destination in here and edge not in arriving:
            yield f"no ingress policy opens {describe(edge)}"
    for name in sorted(here - {edge.source for edge in leaving if edge.destination == DNS}):
        yield f"no egress policy opens DNS for {name}"
