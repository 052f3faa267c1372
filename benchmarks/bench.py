"""All benchmarks, one after the other: `make bench`. Each prints ratios to a floor or a peer of its run."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run every `bench_*.py` in this folder; arguments choose by name."""
    chosen = [p for p in sorted(HERE.glob("bench_*.py")) if not sys.argv[1:] or p.stem in sys.argv[1:]]
    statuses = []
    for path in chosen:
        print(f"## {path.stem}", flush=True)
        # Without -P: one takes what it needs from others in this folder.
        statuses.append(subprocess.run([sys.executable, str(path)], check=False).returncode)
    return max(statuses, default=2)


if __name__ == "__main__":
    sys.exit(main())
