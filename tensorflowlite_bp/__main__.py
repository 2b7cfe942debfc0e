"""`python -m tensorflowlite_bp info`: what is running here, and what is missing."""

import sys

from ._diagnosis import show_config

USAGE = """usage: python -m tensorflowlite_bp info

  info    versions, backend, kernels, threads, memory, environment; what is missing and how to get it

Programs to run:
  python -m tensorflowlite_bp.examples.digits            learn handwritten digits
  python -m tensorflowlite_bp.examples.neural_network    backpropagation by hand beside this library"""


def main(arguments: list[str]) -> int:
    if arguments == ["info"]:
        show_config()
        return 0
    asked_for_help = not arguments or arguments[0] in ("-h", "--help")
    print(USAGE, file=sys.stdout if asked_for_help else sys.stderr)
    return 0 if asked_for_help else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
