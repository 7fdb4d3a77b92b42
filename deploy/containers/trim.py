"""Takes out of an image's packages what no service loads: their tests, sources, headers, converters, symbols for debuggers.

While an image is built: `python trim.py FOLDER`, FOLDER being site-packages; `strip` of binutils must be there.
"""

import shutil
import subprocess
import sys
from pathlib import Path

FOLDERS = (
    "**/tests",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "sqlalchemy/testing",
)
SOURCES = ("*.a", "*.c", "*.cpp", "*.h", "*.hpp", "*.pxd", "*.pyi", "*.pyx")
LINKED_TWICE = "onnxruntime/capi/libonnxruntime.so.*"
"""Python's module has all of it built in. With CUDA it stays: its providers may ask for it."""


def trim(packages: Path) -> int:
    """Remove and strip. The bytes saved."""
    before = size(packages)
    for pattern in FOLDERS:
        for folder in sorted(packages.glob(pattern), reverse=True):
            if folder.is_dir():
                shutil.rmtree(folder)
    unused = [path for pattern in SOURCES for path in packages.rglob(pattern)]
    if not list(packages.glob("onnxruntime/capi/libonnxruntime_providers_cuda.so*")):
        unused += packages.glob(LINKED_TWICE)
    for path in unused:
        path.unlink()
    # those in *.libs were rewritten when their wheel was made, and strip may break such files
    libraries = [path for path in packages.rglob("*.so") if not path.parent.name.endswith(".libs")]
    if libraries:
        subprocess.run(["strip", "--strip-unneeded", *map(str, libraries)], check=True)
    return before - size(packages)


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    print(f"{trim(Path(sys.argv[1])) / 1e6:,.0f} MB of packages were taken out")
