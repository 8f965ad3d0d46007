"""What every benchmark prints: the machine, and one line a claim.

`holds`, `falls short`, or `not run` with the last full value and the machine it came from; a
benchmark exits with 1 if any claim falls short.
"""

import hashlib
import json
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path

LAST = Path(__file__).parent / "last_full.json"
"""The newest full value of every claim, kept as text beside the benchmarks."""


def machine() -> str:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory_gb:.0f} GB, "
        f"Python {platform.python_version()}"
    )


def hash_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


@dataclass
class Claims:
    """Prints claims as they come, and remembers whether all hold."""

    full: bool = True
    """Whether values come from a full run, and are kept as the last ones."""
    failed: list[str] = field(default_factory=list)
    seen: dict[str, dict[str, object]] = field(default_factory=dict)

    def check(
        self, name: str, value: float, target: float, unit: str = "", below: bool = False
    ) -> None:
        held = value <= target if below else value >= target
        word, sign = ("holds" if held else "falls short"), ("<=" if below else ">=")
        print(f"{word:11}  {name:58} {value:9.4g}{unit}  {sign} {target:g}{unit}", flush=True)
        self.failed += [] if held else [name]
        self.seen[name] = {"value": round(value, 5), "machine": machine()}

    def not_run(self, name: str, why: str) -> None:
        last = json.loads(LAST.read_text()).get(name) if LAST.exists() else None
        known = f"last full value {last['value']} on {last['machine']}" if last else "never run"
        print(f"{'not run':11}  {name:58} {why}; {known}", flush=True)

    def finish(self) -> None:
        """Keep the values of a full run, and leave with 1 if a claim fell short."""
        if self.full:
            kept = json.loads(LAST.read_text()) if LAST.exists() else {}
            LAST.write_text(json.dumps(kept | self.seen, indent=1, sort_keys=True) + "\n")
        sys.exit(1 if self.failed else 0)
