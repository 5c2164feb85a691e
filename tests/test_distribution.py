"""What is shipped: the files of wheel and sdist, and that the core dependencies alone are enough to run packages."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"transload": "src/transload", "convert": "convert", "serialize": "serialize", "runtime": "runtime"}


def source_files() -> set[str]:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS.values()],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {name for name in tracked.stdout.split() if (ROOT / name).exists()}


def installed_name(source: str) -> str:
    return source.removeprefix("src/") if source.startswith("src/") else f"transload/{source}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    code = (
        "import sys; from scikit_build_core import build as b; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(target)], cwd=ROOT, check=True, capture_output=True)
    return target


def test_the_wheel_holds_every_module_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == {installed_name(name) for name in source_files()}


def test_the_sdist_holds_what_a_build_needs_and_no_tests(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        found = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert found == source_files() | {"PKG-INFO", "pyproject.toml", "README.md", "CHANGELOG.md"}


def core_packages() -> set[str]:
    """The import names that `pip install transload` brings, dependencies of dependencies included."""
    queue, seen = ["transload"], set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        for requirement in requirements:
            if "extra ==" not in requirement and "extra==" not in requirement:
                match = re.match(r"[\w.-]+", requirement)
                assert match is not None
                queue.append(re.sub(r"[-_.]+", "-", match[0]).lower())
    provided = packages_distributions() | {"transload": ["transload"]}
    return {
        module
        for module, owners in provided.items()
        if any(re.sub(r"[-_.]+", "-", owner).lower() in seen for owner in owners)
    }


IMPORT_WITH_CORE_ONLY = """
import importlib, importlib.abc, sys
allowed, modules = set(sys.argv[1].split(",")), sys.argv[2].split(",")
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        top = fullname.split(".")[0]
        if top not in allowed and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {fullname!r} (not a core dependency)", name=fullname)
sys.meta_path.insert(0, Blocker())
for module in modules:
    importlib.import_module(module)
print(len(modules))
"""


def test_core_dependencies_alone_import_every_module_outside_the_front_ends() -> None:
    modules = sorted(
        installed_name(name).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in source_files()
        if name.endswith(".py") and not name.startswith(("convert/torch/", "convert/tensorflow/"))
        and name not in {f"convert/peers/{runtime}_runner.py" for runtime in ("torch", "tensorflow", "openvino")}
        and not name.endswith("__main__.py")
    )  # fmt: skip
    allowed = ",".join(core_packages())
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_WITH_CORE_ONLY, allowed, ",".join(modules)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(modules) > 20
    assert not {"torch", "tensorflow", "onnxscript", "tf2onnx"} & core_packages()
