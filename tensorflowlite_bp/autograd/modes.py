"""Whether ops are recorded: per context (thread or task), on by default."""

import functools
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, TypeVar

_recording: ContextVar[bool] = ContextVar("tensorflowlite_bp.recording", default=True)
recording = _recording.get  # a bound builtin: 10 ns, where threading.local takes 22

F = TypeVar("F", bound=Callable[..., Any])


class _Mode:
    """Context manager and decorator that sets the mode and restores it."""

    __slots__ = ("_tokens",)
    value: bool

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._tokens.append(_recording.set(self.value))

    def __exit__(self, *exc: object) -> None:
        _recording.reset(self._tokens.pop())

    def __call__(self, function: F) -> F:
        mode = type(self)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with mode():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class no_grad(_Mode):
    """Inside, nothing is recorded. A context manager, and a decorator.

    >>> import tensorflowlite_bp as bp
    >>> x = bp.tensor([1.0, 2.0], requires_grad=True)
    >>> with bp.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    __slots__ = ()
    value = False


class enable_grad(_Mode):
    """Inside, ops are recorded again, also within `no_grad`."""

    __slots__ = ()
    value = True
