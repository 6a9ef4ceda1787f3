"""Rendered manifests as one object that the rules can ask questions of."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
Labels = Mapping[str, str]

NAME = "app.kubernetes.io/name"


@dataclass(frozen=True)
class External:
    """What a render may refer to without containing it, because an operator supplies it."""

    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    pods: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pod:
    """A pod template and the workload that owns it."""

    kind: str
    owner: str
    spec: Document
    labels: Labels

    @property
    def title(self) -> str:
        return f"{self.kind}/{self.owner}"

    @property
    def name(self) -> str:
        return self.labels.get(NAME, self.owner)

    @property
    def containers(self) -> list[Document]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def process(self) -> Document | None:
        """The container that runs a Mooring process, or None: Kafka and MongoDB have none."""
        return next((c for c in self.spec["containers"] if c["name"] == "mooring"), None)

    @property
    def ports(self) -> dict[str, int]:
        listed = (port for c in self.spec["containers"] for port in c.get("ports", []))
        return {port["name"]: port["containerPort"] for port in listed}

    @property
    def is_one_shot(self) -> bool:
        return self.kind == "Job"


@dataclass(frozen=True)
class Cluster:
    documents: list[Document]
    external: External

    def of(self, *kinds: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] in kinds]

    def named(self, kind: str, name: str) -> Document | None:
        return next((d for d in self.of(kind) if d["metadata"]["name"] == name), None)

    @property
    def pods(self) -> list[Pod]:
        workloads = self.of("Deployment", "StatefulSet", "Job")
        return [_pod(workload) for workload in workloads]

    @property
    def processes(self) -> list[tuple[Pod, Document]]:
        return [(pod, pod.process) for pod in self.pods if pod.process]

    def selected(self, selector: Document) -> list[Pod]:
        return [pod for pod in self.pods if matches(selector, pod.labels)]

    def values(self, kind: str, name: str) -> Mapping[str, str] | None:
        """The content of a ConfigMap or Secret, or None if there is no such thing."""
        if kind == "Secret" and name in self.external.secrets:
            return self.external.secrets[name]
        document = self.named(kind, name)
        if document is None:
            return None
        plain = {**document.get("data", {}), **document.get("stringData", {})}
        return plain if kind == "ConfigMap" else {key: _decoded(plain[key]) for key in plain}

    def environment(self, container: Document) -> dict[str, str]:
        """Every variable of a container with its value, maps and secrets looked up."""
        found: dict[str, str] = {}
        for kind, name, key in sources(container):
            if key is None:
                found.update(self.values(kind, name) or {})
        for variable in container.get("env", []):
            found[variable["name"]] = self._value(variable)
        return found

    def _value(self, variable: Document) -> str:
        for kind, name, key in _value_source(variable):
            return (self.values(kind, name) or {}).get(key or "", "")
        return str(variable.get("value", ""))


def matches(selector: Document, labels: Labels) -> bool:
    """Whether a label selector picks these labels; an empty selector picks everything."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(term, labels) for term in selector.get("matchExpressions", []))


def sources(container: Document) -> Iterator[tuple[str, str, str | None]]:
    """Each (kind, name, key) that a container's environment comes from; key None: all of it."""
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            yield "ConfigMap", source["configMapRef"]["name"], None
        if "secretRef" in source:
            yield "Secret", source["secretRef"]["name"], None
    for variable in container.get("env", []):
        yield from _value_source(variable)


def read(documents: Iterable[Document], external: External) -> Cluster:
    return Cluster(list(documents), external)


def _value_source(variable: Document) -> Iterator[tuple[str, str, str | None]]:
    source = variable.get("valueFrom", {})
    if reference := source.get("configMapKeyRef"):
        yield "ConfigMap", reference["name"], reference["key"]
    if reference := source.get("secretKeyRef"):
        yield "Secret", reference["name"], reference["key"]


def _pod(workload: Document) -> Pod:
    template = workload["spec"]["template"]
    return Pod(
        kind=workload["kind"],
        owner=workload["metadata"]["name"],
        spec=template["spec"],
        labels=template["metadata"].get("labels", {}),
    )


def _holds(term: Document, labels: Labels) -> bool:
    value = labels.get(term["key"])
    match term["operator"]:
        case "In":
            return value in term["values"]
        case "NotIn":
            return value not in term["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
