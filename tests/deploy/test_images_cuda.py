"""The image for CUDA, built and run where there is no GPU: all that it needs of the host is a GPU with its driver."""

import json
import re
import shutil
from collections.abc import Iterator

import pytest

from tests.deploy.images import Image, built, needs_build_image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    needs_build_image,
    pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU: tests/gpu runs on it"),
]
NEEDED = """
cd /opt/assay/lib/python3.*/site-packages
LD_LIBRARY_PATH=$(echo "$PWD"/nvidia/*/lib | tr ' ' ':') ldd onnxruntime/capi/libonnxruntime_providers_cuda.so
"""
LOADED = "import onnxruntime; onnxruntime.preload_dlls(); print(open('/proc/self/maps').read())"


@pytest.fixture(scope="module")
def image(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """With the demo's bundle and key."""
    with built("cuda.Dockerfile", "assay-test:cuda", kafka_bootstrap, tmp_path_factory.mktemp("cuda")) as image:
        yield image


def test_every_library_of_cuda_is_in_the_image(image: Image) -> None:
    """Only the driver's is missing, which the container toolkit hands in. cuDNN is asked for by its name, later."""
    needed = image.run("sh", "-c", NEEDED)
    assert re.findall(r"(\S+) => not found", needed) == ["libcuda.so.1"]
    ours = set(re.findall(r"=> \S+/nvidia/\S+/(lib[^/\s]+)", needed))
    assert {name.partition(".")[0] for name in ours} >= {"libcublas", "libcudart"}
    loaded = set(re.findall(r"/nvidia/\S+/(lib[^/\s]+)", image.run("python", "-c", LOADED)))
    assert {*ours, "libcudnn.so.9"} - loaded == set()


def test_without_a_gpu_it_says_so_and_starts_nothing(image: Image) -> None:
    """The image asks for CUDA, so nothing scores on the CPU unseen."""
    said = image.run("sh", "-c", "assay doctor --json; status=$?; echo; echo $status").splitlines()
    assert said[-1] == "1"
    (device,) = (check for check in json.loads(said[0]) if check["check"] == "device")
    assert not device["ok"]
    assert device["detail"].startswith("Device cuda is not usable: ONNX Runtime could not start CUDA (is there a GPU")
    assert device["detail"].endswith("or set ASSAY_DEVICE=cpu.")

    assert image.run("assay", "topics", "create") is not None
    ended = image.run("sh", "-c", "python -m services.scorer 2>&1; status=$?; echo; echo $status")
    assert ended.splitlines()[-1] not in ("0", "")
    assert "Device cuda is not usable" in ended
    assert "Traceback" not in ended


def test_the_cpu_is_taken_where_that_is_asked(image: Image) -> None:
    """By name, or by auto, which says what it took."""
    for asked in ("cpu", "auto"):
        checks = json.loads(image.run("sh", "-c", "assay doctor --json; true", ASSAY_DEVICE=asked).splitlines()[0])
        (device,) = (check for check in checks if check["check"] == "device")
        assert device["ok"], device
        assert device["detail"] == f"cpu (ASSAY_DEVICE={asked})"
