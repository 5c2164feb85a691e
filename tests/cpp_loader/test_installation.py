"""A stranger's project finds transload: installed, in its build folder, as a sub-project, by pkg-config.

The samples are such projects.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from loader import BUILD, PACKAGES, ROOT, output_of

from transload.runtime.model import load


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    output_of("cmake", "--install", BUILD, "--prefix", target)
    return target


def build(source: Path, folder: Path, *options: str) -> Path:
    output_of("cmake", "-S", source, "-B", folder, "-DCMAKE_BUILD_TYPE=Debug", *options)
    output_of("cmake", "--build", folder)
    return folder


@pytest.fixture(scope="session")
def embedding_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the sentence-embedding demo."""
    made = ROOT / "build" / "demo" / "minilm.tload"
    if made.exists():
        return made
    source = tmp_path_factory.mktemp("embedding") / "minilm.pt"
    output_of(sys.executable, ROOT / "samples" / "sentence_embedding" / "make_torchscript.py", source)
    described = [word for name in ("input_ids", "attention_mask") for word in ("--input", f"{name}:int64[batch,seq]")]
    package = source.with_suffix(".tload")
    command = ("convert", source, "-o", package, "--proof", "none", *described)
    output_of(sys.executable, "-m", "transload.cli", *command)
    return package


def scores(program: Path) -> list[float]:
    return [float(line) for line in output_of(program, PACKAGES / "double.tload", "1", "2", "3").splitlines()]


def test_what_is_installed(prefix: Path) -> None:
    found = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if not path.is_dir()}
    assert {
        "bin/transload-run",
        "include/transload/transload.h",
        "include/transload/transload.hpp",
        "lib/libtransload.so",
        "lib/libtransload_static.a",
        "lib/pkgconfig/transload.pc",
        "lib/cmake/transload/transloadConfig.cmake",
    } <= found
    assert {name for name in found if name.startswith("include/")} == {
        "include/transload/transload.h",
        "include/transload/transload.hpp",
    }


def test_the_installed_command_runs(prefix: Path) -> None:
    assert "transload-run 0." in output_of(prefix / "bin" / "transload-run", "--version")


def test_the_c_sample_builds_against_the_installed_package(prefix: Path, tmp_path: Path) -> None:
    folder = build(ROOT / "samples" / "c_embed", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    assert scores(folder / "scores") == [2, 4, 6]


def test_the_c_sample_builds_against_the_build_folder(tmp_path: Path) -> None:
    folder = build(ROOT / "samples" / "c_embed", tmp_path, f"-Dtransload_DIR={BUILD}")
    assert scores(folder / "scores") == [2, 4, 6]


STATIC = """
cmake_minimum_required(VERSION 3.22)
project(stranger LANGUAGES C CXX)
find_package(transload CONFIG REQUIRED)
add_executable(scores {source})
target_link_libraries(scores PRIVATE transload::static)
set_target_properties(scores PROPERTIES LINKER_LANGUAGE CXX)
"""


def test_the_static_library_needs_no_shared_one(prefix: Path, tmp_path: Path) -> None:
    source = ROOT / "samples" / "c_embed" / "scores.c"
    (tmp_path / "CMakeLists.txt").write_text(STATIC.format(source=source))
    folder = build(tmp_path, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    assert scores(folder / "scores") == [2, 4, 6]
    assert "libtransload" not in output_of("readelf", "--dynamic", folder / "scores")


SUBPROJECT = """
cmake_minimum_required(VERSION 3.22)
project(stranger LANGUAGES C CXX)
{add}
get_property(tests DIRECTORY {loader} PROPERTY TESTS)
if(tests)
  message(FATAL_ERROR "a sub-project brings its tests: ${{tests}}")
endif()
get_target_property(options transload_warnings INTERFACE_COMPILE_OPTIONS)
if(options)
  message(FATAL_ERROR "a sub-project makes warnings errors: ${{options}}")
endif()
add_executable(scores {source})
target_link_libraries(scores PRIVATE transload::transload)
"""


ADD_SUBDIRECTORY = "add_subdirectory({loader} transload)"
FETCH_CONTENT = """
include(FetchContent)
FetchContent_Declare(transload URL {archive} SOURCE_SUBDIR cpp_loader)
FetchContent_MakeAvailable(transload)
"""


def check_sub_project(add: str, loader: Path, folder: Path) -> None:
    """Build a stranger's program that has the loader as a sub-project, which brings neither tests nor warnings."""
    source = ROOT / "samples" / "c_embed" / "scores.c"
    (folder / "CMakeLists.txt").write_text(SUBPROJECT.format(add=add, loader=loader, source=source))
    sdk = f"-DONNXRUNTIME_ROOT={ROOT / 'build' / 'onnxruntime-sdk'}"
    output_of("cmake", "-S", folder, "-B", folder / "build", "-DCMAKE_BUILD_TYPE=Debug", sdk)
    output_of("cmake", "--build", folder / "build", "--target", "scores")
    assert scores(folder / "build" / "scores") == [2, 4, 6]


def test_as_a_sub_project_it_brings_neither_its_tests_nor_its_warnings(tmp_path: Path) -> None:
    loader = ROOT / "cpp_loader"
    check_sub_project(ADD_SUBDIRECTORY.format(loader=loader), loader, tmp_path)


def test_fetch_content_makes_it_available_from_an_archive_of_the_sources(tmp_path: Path) -> None:
    archive = tmp_path / "sources.tar"
    with tarfile.open(archive, "w") as file:
        file.add(ROOT / "cpp_loader", "transload-0.1/cpp_loader")
    loader = tmp_path / "build" / "_deps" / "transload-src" / "cpp_loader"
    check_sub_project(FETCH_CONTENT.format(archive=archive), loader, tmp_path)


def test_pkg_config_finds_it(prefix: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = output_of("pkg-config", "--cflags", "--libs", "transload", env=environment)
    include = next(flag.removeprefix("-I") for flag in shlex.split(flags) if flag.startswith("-I"))
    assert Path(include).resolve() == prefix / "include"
    program = tmp_path / "scores"
    source = ROOT / "samples" / "c_embed" / "scores.c"
    sdk = ROOT / "build" / "onnxruntime-sdk" / "lib"
    paths = [f"-Wl,-rpath,{prefix}/lib", f"-Wl,-rpath-link,{sdk}"]
    output_of("cc", "-std=c99", source, "-o", program, *shlex.split(flags), *paths)
    assert scores(program) == [2, 4, 6]


def test_the_cpp_sample_ranks_as_python_does(prefix: Path, tmp_path: Path, embedding_package: Path) -> None:
    folder = build(ROOT / "samples" / "cpp_embed", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    sentences = [[101, 2129, 2000, 102], [101, 7852, 2003, 2204, 2833, 102], [101, 2374, 102]]
    text = "\n".join(" ".join(map(str, sentence)) for sentence in sentences)
    lines = output_of(folder / "rank", embedding_package, input=text).splitlines()
    found = {int(index): float(similarity) for similarity, index in (line.split() for line in lines)}
    length = max(map(len, sentences))
    ids = np.array([sentence + [0] * (length - len(sentence)) for sentence in sentences])
    mask = np.array([[1] * len(sentence) + [0] * (length - len(sentence)) for sentence in sentences])
    model = load(embedding_package, device="cpu")
    (vectors,) = model.run(None, {"input_ids": ids, "attention_mask": mask})
    expected = vectors[1:] @ vectors[0]
    assert found == {index + 1: pytest.approx(float(value), abs=1e-3) for index, value in enumerate(expected)}
    assert [int(line.split()[1]) for line in lines] == (1 + np.argsort(-expected)).tolist()
    assert re.fullmatch(r"[+-]\d\.\d{3}  \d", lines[0])


def test_the_c_sample_tells_what_is_wrong(prefix: Path, tmp_path: Path) -> None:
    folder = build(ROOT / "samples" / "c_embed", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    done = subprocess.run([folder / "scores", PACKAGES / "double.tload", "1"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "The input 'x' has size 1 on axis 1; the model takes float32[batch,3]." in done.stderr
