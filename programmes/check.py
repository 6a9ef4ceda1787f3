"""`python -m programmes.check FILE`: is this programme file right? Exit 1 when it is not."""

import sys
from collections.abc import Sequence

from programmes.model import ProgrammeError, load_programme


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m programmes.check FILE", file=sys.stderr)
        return 2
    try:
        programme = load_programme(arguments[0])
    except ProgrammeError as error:
        print(error)
        return 1
    print(f"OK: {programme.name}, version {programme.version}, revision {programme.revision}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
