"""What a start costs: packages, import time, `--help`, time to ready and idle memory, beside a bare aiohttp application in the same run.

    python bench/startup.py [--rounds 7]

Times are medians over the rounds. Packages are the core's alone, itself included, resolved by pip without installing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring.server import ServerProcess

CORE = Path(__file__).parent.parent / "core"
SCRIPTED = {
    "version": "2",
    "providers": {"inference": [{"provider_id": "scripted", "provider_type": "inline::scripted"}]},
}


def resolved_packages(requirement: str) -> int:
    """How many distributions pip would install into an empty environment."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--report",
        "-",
        requirement,
    ]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return len(report["install"])


def median_s(rounds: int, *arguments: str) -> float:
    """Median seconds of the whole process."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def served(rounds: int, arguments: list[str], ready_path: str) -> tuple[float, float]:
    """Median seconds from the start to the first 200, and median idle memory in MiB."""
    starts, memory = [], []
    for _ in range(rounds):
        with ServerProcess(arguments, ready_path) as server:
            time.sleep(0.5)
            starts.append(server.start_s)
            memory.append(server.rss_mib())
    return statistics.median(starts), statistics.median(memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "run.yaml")
        config.write_text(json.dumps(SCRIPTED))
        ready_s, rss_mib = served(rounds, ["-m", "hitchpost", "run", str(config), "--port", "{port}"], "/ready")
        bare_ready_s, bare_rss_mib = served(
            rounds, [str(Path(__file__).parent / "measuring" / "bare.py"), "{port}"], "/health"
        )
    rows = [
        ("packages", float(resolved_packages(str(CORE))), float(resolved_packages("aiohttp"))),
        ("python -c pass, s", median_s(rounds, "-c", "pass"), None),
        ("import, s", median_s(rounds, "-c", "import hitchpost"), median_s(rounds, "-c", "import aiohttp.web")),
        ("--help, s", median_s(rounds, "-m", "hitchpost", "--help"), None),
        ("start to ready, s", ready_s, bare_ready_s),
        ("idle memory, MiB", rss_mib, bare_rss_mib),
    ]
    print(f"{'':24}{'hitchpost':>12}{'bare aiohttp':>14}")
    for name, ours, bare in rows:
        print(f"{name:24}{ours:12.3g}" + (f"{bare:14.3g}" if bare is not None else ""))


if __name__ == "__main__":
    main()
