"""The environment, read once. No other module looks at `os.environ`."""

import os
from dataclasses import dataclass

from .errors import TFLBPError, message


class ConfigError(TFLBPError, ValueError):
    """An environment variable with a value that means nothing."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the environment asks for. Change it before the first import; `bp.set_backend` is the run-time
    switch.
    """

    backend: str  # numpy | cupy | auto: where new tensors live
    kernels: str  # auto | native | reference: compiled kernels, required, or off
    alloc: str  # cache | system: keep freed array memory, or hand it back
    debug: frozenset[str]  # of nan, shape, sync
    num_threads: int  # threads of the compiled kernels; 0: one per core this process may use


def _choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = os.environ.get(name, "").strip().lower() or default
    if value not in allowed:
        raise ConfigError(message(name, f"one of {', '.join(allowed)} was expected.", received=repr(value)))
    return value


def _debug() -> frozenset[str]:
    known = {"nan", "shape", "sync"}
    asked = {word.strip().lower() for word in os.environ.get("TFLBP_DEBUG", "").split(",") if word.strip()}
    if asked - known:
        raise ConfigError(
            message(
                "TFLBP_DEBUG",
                "a comma-separated list of nan, shape, sync was expected.",
                received=repr(sorted(asked)),
            )
        )
    return frozenset(asked)


def _threads() -> int:
    text = os.environ.get("TFLBP_NUM_THREADS", "").strip()
    if not text:
        return 0
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(
            message("TFLBP_NUM_THREADS", "a whole number of at least 1 was expected.", received=repr(text))
        )
    return int(text)


def read() -> Config:
    """Read the environment. Raises ConfigError (a ValueError) naming the variable and the values it takes."""
    return Config(
        backend=_choice("TFLBP_BACKEND", "numpy", ("numpy", "cupy", "auto")),
        kernels=_choice("TFLBP_KERNELS", "auto", ("auto", "native", "reference")),
        alloc=_choice("TFLBP_ALLOC", "cache", ("cache", "system")),
        debug=_debug(),
        num_threads=_threads(),
    )


config = read()
