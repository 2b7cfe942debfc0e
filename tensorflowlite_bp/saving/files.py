"""One file of named arrays and a JSON header: safetensors, written atomically, read with suspicion.

Nothing here is ever executed from a file: arrays are bytes, the header is JSON.
"""

import contextlib
import json
import os
import secrets
import shutil
import struct

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from ..errors import SavingError, message

KEY = "tensorflowlite_bp"  # the one metadata entry that is ours
MAX_HEADER = 100_000_000  # the format's own limit, in bytes

DTYPES = {
    "BOOL": np.dtype(bool),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
}


def write(path, arrays: dict, header: dict) -> None:
    """Write `arrays` (name -> NumPy array) and `header` (JSON-able) to `path`, all or nothing.

    Raises SavingError for what the format cannot hold, before anything touches the disk.
    """
    path = os.fspath(path)
    check_name(path)
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<") not in DTYPES.values():
            raise SavingError(
                message(
                    "save",
                    f"safetensors cannot hold the dtype of {name!r}.",
                    received=str(array.dtype),
                    hint="bool, integers, float16, bfloat16, float32, float64 and complex64 can be saved.",
                )
            )
    try:
        text = json.dumps(header, allow_nan=False, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise SavingError(
            message(
                "save",
                f"the configuration has no form in JSON ({error}).",
                hint="save_weights keeps the weights alone; a config is plain numbers, strings, lists.",
            )
        ) from error
    contiguous = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    replace(path, safetensors.numpy.save(contiguous, metadata={KEY: text}))


def replace(path: str, data: bytes) -> None:
    """Put `data` at `path` so that whoever looks, whenever, sees the old file or the new one, never a part of
    one.

    Written beside it, flushed to the disk, renamed over it, and the folder flushed. A failure leaves the old
    file.
    """
    path = os.path.realpath(path)  # a link goes on pointing where it did
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            shutil.copymode(path, beside)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(path) -> tuple[dict, dict]:
    """(arrays, header) of a file; the header is {} for a safetensors file of another program.

    Raises SavingError when the file is truncated, damaged or of another kind; OSError when it cannot be
    opened. The arrays are read-only views of one buffer.
    """
    path = os.fspath(path)
    check_name(path)
    with open(path, "rb") as file:
        data = file.read()
    header = _json_header(path, data)
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise damaged(path, f"its table of arrays is not consistent ({error})") from error
    arrays = {}
    for name, entry in entries:
        dtype = DTYPES.get(entry["dtype"])
        if dtype is None:
            raise damaged(path, f"array {name!r} has dtype {entry['dtype']}, which is not known here")
        arrays[name] = np.frombuffer(entry["data"], dtype).reshape(entry["shape"])
    return arrays, header


def _json_header(path, data):
    """Our part of the header. The library checks the rest."""
    if len(data) < 8:
        raise damaged(path, f"it holds {len(data)} bytes, too few for a safetensors file")
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(MAX_HEADER, len(data) - 8):
        raise damaged(
            path,
            f"its header claims {length} bytes where {len(data) - 8} follow: truncated, or another format",
        )
    outer = parse(path, data[8 : 8 + length])
    metadata = outer.get("__metadata__") if isinstance(outer, dict) else None
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if text is None:
        return {}
    if not isinstance(text, str):
        raise damaged(path, "its metadata is not text")
    header = parse(path, text)
    if not isinstance(header, dict):
        raise damaged(path, "its configuration is not a JSON object")
    return header


def parse(path, text):
    """JSON without NaN and Infinity, or SavingError."""

    def refuse(word):
        raise ValueError(f"{word} is not JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its header is not JSON ({error})") from error


def check_name(path: str) -> None:
    """Refuse the endings of Keras' own formats, which these files are not."""
    if path.lower().endswith((".h5", ".hdf5", ".keras")):
        stem = os.path.splitext(os.path.basename(path))[0]
        raise SavingError(
            message(
                "saving",
                "files are in the safetensors format; Keras' .h5 and .keras are not read or written.",
                received=repr(path),
                hint=f"name it {stem.removesuffix('.weights')}.safetensors.",
            )
        )


def damaged(path, why: str) -> SavingError:
    """The error of a file that cannot be what it says."""
    return SavingError(
        message(
            "load",
            f"{os.fspath(path)!r} is not a whole safetensors file: {why}.",
            hint="the model is unchanged. Copy the file anew, or save it again.",
        )
    )
