"""Libraries that only some uses need. The one place outside `backend/` that tries an import."""

import importlib

from ..errors import message


def optional(name: str, *, extra: str):
    """The module `name`, or an ImportError that names the pip line.

    >>> optional("math", extra="plot").pi
    3.141592653589793
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            message(
                "import",
                f"{name} is needed for this and could not be imported ({error}).",
                hint=f'pip install "tensorflowlite-bp[{extra}]"',
            )
        ) from error
