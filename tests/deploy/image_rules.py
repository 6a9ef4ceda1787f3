"""What hadolint does not check of the Dockerfile."""

import fnmatch
import re
from collections.abc import Callable, Iterator

PINNED = re.compile(r"^[a-z0-9-]+:\d+\.\d+\.\d+(-[a-z0-9.-]+)?$")


def violations(text: str) -> list[str]:
    instructions = _instructions(text)
    return [complaint for rule in RULES for complaint in rule(instructions)]


def copied(text: str) -> list[str]:
    """The paths of the build context that go into the image."""
    lines = [rest.split() for word, rest in _instructions(text) if word == "COPY"]
    return [path for line in lines if "--from=build" not in line for path in line[:-1]]


def is_let_through(path: str, ignore_file: str) -> bool:
    """Whether a .dockerignore that begins with `*` has an exception for this path."""
    lines = [line for line in ignore_file.splitlines() if line and not line.startswith("#")]
    exceptions = [line.removeprefix("!") for line in lines if line.startswith("!")]
    fits = (fnmatch.fnmatch(path, one) or path.startswith(f"{one}/") for one in exceptions)
    return lines[0] == "*" and any(fits)


Instructions = list[tuple[str, str]]


def base_images_are_pinned_and_hostless(instructions: Instructions) -> Iterator[str]:
    for word, rest in instructions:
        if word == "FROM" and not PINNED.match(rest.split()[0]):
            yield f"FROM {rest}: name an official image and its full version"


def the_user_is_a_number_and_not_root(instructions: Instructions) -> Iterator[str]:
    users = [rest for word, rest in instructions if word == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        yield f"USER {users[-1:]}: give numbers that are not 0"


def any_process_can_be_named(instructions: Instructions) -> Iterator[str]:
    if ("ENTRYPOINT", '["mooring"]') not in instructions:
        yield 'ENTRYPOINT is not ["mooring"]'
    if not any(word == "HEALTHCHECK" and "CMD" in rest for word, rest in instructions):
        yield "HEALTHCHECK is missing"


def a_container_listens_on_all_addresses(instructions: Instructions) -> Iterator[str]:
    """A process listens on 127.0.0.1 unless told otherwise, which no probe could reach."""
    if not any(word == "ENV" and "MOORING_HOST=0.0.0.0" in rest for word, rest in instructions):
        yield "ENV MOORING_HOST=0.0.0.0 is missing"


def installs_are_hashed(instructions: Instructions) -> Iterator[str]:
    for word, rest in instructions:
        if word == "RUN" and "pip install" in rest:
            hashed = "--require-hashes" in rest and "--only-binary=:all:" in rest
            if not hashed and "--no-deps --no-build-isolation ." not in rest:
                yield f"RUN {rest}: installs something without a hash"


def nothing_is_fetched_by_address(instructions: Instructions) -> Iterator[str]:
    for word, rest in instructions:
        if "://" in rest or word == "ADD":
            yield f"{word} {rest}: names a host"


RULES: tuple[Callable[[Instructions], Iterator[str]], ...] = (
    base_images_are_pinned_and_hostless,
    the_user_is_a_number_and_not_root,
    any_process_can_be_named,
    a_container_listens_on_all_addresses,
    installs_are_hashed,
    nothing_is_fetched_by_address,
)


def _instructions(text: str) -> Instructions:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    words = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(word, rest.strip()) for word, _, rest in words]
