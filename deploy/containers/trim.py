"""Takes out of an image's packages what no service loads: their tests, sources, headers, converters, symbols for debuggers.

While an image is built: `python trim.py FOLDER`, FOLDER being site-packages; `strip` of binutils must be there. With `--apart
ROOT OTHER`, packages that only models and features need are moved from ROOT to the same place in OTHER, to be a layer apart.
"""

import argparse
import shutil
import subprocess
from pathlib import Path

FOLDERS = (
    "**/tests",
    "numba/cuda",
    "numpy/distutils",
    "numpy/f2py",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "sqlalchemy/dialects/mssql",
    "sqlalchemy/dialects/mysql",
    "sqlalchemy/dialects/oracle",
    "sqlalchemy/ext",
    "sqlalchemy/orm",
    "sqlalchemy/testing",
)
SOURCES = ("*.a", "*.c", "*.cpp", "*.h", "*.hpp", "*.pxd", "*.pyi", "*.pyx")
OF_TESTS = ("numpy/_core/_*_tests.*.so", "numpy/_core/_simd.*.so")
LEXERS, LEXERS_KEPT = "pygments/lexers/*.py", ("__init__.py", "_mapping.py", "python.py", "special.py")
"""How rich colours code: a trace of ours is Python."""
SERVICES, SERVICES_KEPT = "botocore/data/*/", ("s3", "signin", "sso", "sso-oidc", "sts")
"""Of AWS: storage, and what credentials come from."""
LINKED_TWICE = "onnxruntime/capi/libonnxruntime.so.*"
"""Python's module has all of it built in. With CUDA it stays: its providers may ask for it."""
COMPUTING = ("llvmlite", "numba", "onnxruntime")


def trim(packages: Path) -> int:
    """Remove and strip. The bytes saved."""
    before = size(packages)
    for pattern in FOLDERS:
        for folder in sorted(packages.glob(pattern), reverse=True):
            if folder.is_dir():
                shutil.rmtree(folder)
    for folder in packages.glob(SERVICES):
        if folder.is_dir() and folder.name not in SERVICES_KEPT:
            shutil.rmtree(folder)
    unused = [path for pattern in SOURCES for path in packages.rglob(pattern)]
    unused += [path for pattern in OF_TESTS for path in packages.glob(pattern)]
    unused += [path for path in packages.glob(LEXERS) if path.name not in LEXERS_KEPT]
    if not list(packages.glob("onnxruntime/capi/libonnxruntime_providers_cuda.so*")):
        unused += packages.glob(LINKED_TWICE)
    for path in unused:
        path.unlink()
    # those in *.libs were rewritten when their wheel was made, and strip may break such files
    libraries = [path for path in packages.rglob("*.so") if not path.parent.name.endswith(".libs")]
    if libraries:
        subprocess.run(["strip", "--strip-unneeded", *map(str, libraries)], check=True)
    return before - size(packages)


def move_apart(packages: Path, root: Path, other: Path) -> int:
    """What only models and features need, licences with it. The bytes moved."""
    target = other / packages.relative_to(root)
    target.mkdir(parents=True)
    for name in COMPUTING:
        for path in (packages / name, *packages.glob(f"{name}-*.dist-info"), *packages.glob(f"{name}.libs")):
            shutil.move(path, target / path.name)
    return size(target)


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", type=Path)
    parser.add_argument("--apart", nargs=2, type=Path, metavar=("ROOT", "OTHER"))
    options = parser.parse_args()
    print(f"{trim(options.packages) / 1e6:,.0f} MB of packages were taken out")
    if options.apart:
        print(f"{move_apart(options.packages, *options.apart) / 1e6:,.0f} MB are a layer of their own")
