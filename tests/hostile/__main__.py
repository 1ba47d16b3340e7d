"""The campaign as a command: ``python -m tests.hostile --seconds 3600``; exits with 1 where it found something."""

import argparse
import sys

from tests.hostile.campaign import run_campaign, told


def main() -> int:
    """Run a campaign and print what it found; ``--seed N --cases 1`` tries case N alone."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="number of the first case (default: %(default)s)")
    parser.add_argument("--cases", type=int, help="how many at most (default: as many as there is time for)")
    arguments = parser.parse_args()
    outcome = run_campaign(arguments.seconds, arguments.seed, arguments.cases)
    sys.stdout.write(told(outcome).encode(errors="backslashreplace").decode() + "\n")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
