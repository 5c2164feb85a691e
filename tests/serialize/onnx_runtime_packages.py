"""ONNX Runtime's own loader of model packages, which has no Python binding yet, through its C API by ctypes.

The positions of functions in `OrtApi` are part of ONNX Runtime's stable ABI: the table is append-only.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from pathlib import Path

import onnxruntime

API_VERSION = 31
GET_ERROR_MESSAGE, CREATE_ENV, CREATE_SESSION_OPTIONS, SESSION_GET_INPUT_COUNT = 2, 3, 10, 30
GET_MODEL_PACKAGE_API = 427

# Positions in `OrtModelPackageApi`.
CREATE_OPTIONS, CREATE_CONTEXT, GET_COMPONENT_NAMES, SELECT_COMPONENT, CREATE_PACKAGE_SESSION = 0, 2, 6, 11, 15


class _ApiBase(ctypes.Structure):
    _fields_ = (("get_api", CFUNCTYPE(c_void_p, c_uint32)), ("get_version", CFUNCTYPE(c_char_p)))


class OrtError(Exception):
    """A status that is not OK, with ONNX Runtime's message."""


class Api:
    """The few functions of the C API that opening a model package takes."""

    def __init__(self) -> None:
        (library,) = Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")
        loaded = ctypes.CDLL(str(library))
        loaded.OrtGetApiBase.restype = POINTER(_ApiBase)
        table = loaded.OrtGetApiBase().contents.get_api(API_VERSION)
        assert table, f"ONNX Runtime {onnxruntime.__version__} has no API version {API_VERSION}"
        self.table = ctypes.cast(table, POINTER(c_void_p))
        get_packages = CFUNCTYPE(c_void_p)(self.table[GET_MODEL_PACKAGE_API])
        self.packages = ctypes.cast(get_packages(), POINTER(c_void_p))
        self._message = CFUNCTYPE(c_char_p, c_void_p)(self.table[GET_ERROR_MESSAGE])

    def call(self, address: int, *arguments: object, types: tuple[type, ...]) -> None:
        """Call a function of either table."""
        status = CFUNCTYPE(c_void_p, *types)(address)(*arguments)
        if status:
            raise OrtError(self._message(status).decode())


def open_folder(folder: Path, component: str) -> tuple[list[str], int]:
    """The names of a package's components, and how many inputs the session of one of them has.

    Everything that is opened lives until the process ends; a test process is short.
    """
    api = Api()
    env, options, package_options, context, selected, session = (c_void_p() for _ in range(6))
    names, count = POINTER(c_char_p)(), c_size_t()
    core, packages = api.table, api.packages
    pointer = c_void_p
    api.call(core[CREATE_ENV], c_int(4), b"test", byref(env), types=(c_int, c_char_p, pointer))
    api.call(core[CREATE_SESSION_OPTIONS], byref(options), types=(pointer,))
    api.call(packages[CREATE_OPTIONS], env, options, byref(package_options), types=(pointer,) * 3)
    api.call(packages[CREATE_CONTEXT], str(folder).encode(), byref(context), types=(c_char_p, pointer))
    api.call(packages[GET_COMPONENT_NAMES], context, byref(names), byref(count), types=(pointer,) * 3)
    api.call(
        packages[SELECT_COMPONENT],
        context,
        component.encode(),
        package_options,
        byref(selected),
        types=(pointer, c_char_p, pointer, pointer),
    )
    api.call(packages[CREATE_PACKAGE_SESSION], env, selected, None, byref(session), types=(pointer,) * 4)
    inputs = c_size_t()
    api.call(core[SESSION_GET_INPUT_COUNT], session, byref(inputs), types=(pointer, pointer))
    return [names[index].decode() for index in range(count.value)], inputs.value
