"""Files that others read are written beside and renamed, so that nobody sees half of one."""

import json
from pathlib import Path
from typing import Any


def write_reports(folder: Path, name: str, content: Any, page: str) -> Path:
    """Write a report as `NAME.json` and `NAME.html`; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in (("json", json.dumps(content, indent=1, default=str)), ("html", page)):
        partial = folder / f".{name}.{kind}.part"
        partial.write_text(text, "utf-8")
        partial.replace(folder / f"{name}.{kind}")
    return folder / f"{name}.html"
