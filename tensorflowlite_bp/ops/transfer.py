"""Moving tensors between devices."""

from typing import Any

from .. import backend
from ..autograd.op import Op
from ..autograd.record import applyn
from ..autograd.tensor import Tensor
from ..errors import DeviceError, message


def _move(x: Any, *, device: str, origin: str | None = None) -> Any:
    if device == "cpu":
        return x.get() if hasattr(x, "get") else x
    return backend.named("cupy").placed(x, device)


_TO = Op(
    "to",
    vjp=(lambda F, g, out, x, *, device, origin: _moved(g, origin),),
    jvp=lambda F, ts, out, x, *, device, origin: _moved(ts[0], device),
    forward=lambda B: _move,
)


def _moved(g: Any, device: str) -> Any:
    return to_device(g, device) if isinstance(g, Tensor) else _move(g, device=device)


def to_device(x: Tensor, device: str) -> Tensor:
    """x on `device`: itself when it is there already."""
    here = x.device
    if device == here or (device == "cuda" and here.startswith("cuda")):
        return x
    if device != "cpu" and not device.startswith("cuda"):
        raise DeviceError(
            message("to", 'the device must be "cpu", "cuda" or "cuda:N".', received=repr(device))
        )
    return applyn(_TO, (x,), {"device": device, "origin": here})
