"""Kills without end: the durability tests, again and again, with seeds of their own.

    python benchmarks/soak.py [--minutes 30] [--seed N]

Prints each seed before it is used, so that a failure can be repeated:
`SHIFTWORK_TEST_SEED=N .venv/bin/pytest tests/e2e/test_durability.py`.
"""

import argparse
import os
import random
import subprocess
import sys
import time


def main() -> int:
    """Run until the time is over or a run fails; the exit status of the last run."""
    parser = argparse.ArgumentParser(description="Kill a running project's parts, again and again.")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--kills", type=int, default=10, help="kills per run (default: 10)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    end = time.monotonic() + 60 * arguments.minutes
    runs = 0
    while time.monotonic() < end:
        seed = chance.randrange(2**31)
        print(f"run {runs + 1}: seed {seed}, {arguments.kills} kills", flush=True)
        environment = {"SHIFTWORK_TEST_SEED": str(seed), "SHIFTWORK_TEST_KILLS": str(arguments.kills)}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "tests/e2e/test_durability.py"]
        status = subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
        if status:
            return status
        runs += 1
    print(f"{runs} runs held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
