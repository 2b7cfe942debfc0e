"""Grids and blocks: every size that a launch is given is decided here."""

from typing import Any

from .host import NAMES, Host

ROW_WARPS = 4  # as in types.cuh: rows of a block whose rows take a warp each
SHORT = 4096  # bytes of a row that a warp takes
COLUMN_THREADS = 256  # as in columns.cuh
KEPT = 96 << 10  # bytes of a row that stay in shared memory: every GPU since sm_80 has 99 KB a block


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def type_name(x: Any) -> str:
    """The kernel's name for the array's dtype."""
    return NAMES[x.dtype.name]


def accumulator(xp: Any, dtype: Any) -> Any:
    """What kernels compute in, and keep statistics and losses in."""
    return xp.float64 if dtype == xp.float64 else xp.float32


def rows(count: int, length: int, itemsize: int) -> tuple[str, int, int, int]:
    """(template arguments, grid, block, dynamic shared bytes) for `count` rows of `length` elements."""
    size = length * itemsize
    place = (size + 32) // 16 * 16
    if size <= SHORT:
        return "true, true", ceil_div(count, ROW_WARPS), 32 * ROW_WARPS, ROW_WARPS * place
    if size <= KEPT:
        return "false, true", count, 256 if size <= 16384 else 512, place
    return "false, false", count, 512, 0


def one_block(n: int) -> int:
    """Threads of a kernel that reduces n elements in a single block."""
    return min(512, max(32, ceil_div(n, 32) * 32))


def blocks_for(host: Host, n: int, per_block: int, each: int = 8) -> int:
    """Blocks of a loop over n elements: enough for all processors, `each` on one of them."""
    return min(ceil_div(n, per_block), each * host.processors)


def vector(host: Host, columns: int, *arrays: Any) -> int:
    """Elements that a thread takes at once from rows of `columns`: 16 bytes' worth where every row begins on
    a 16-byte boundary, else 1.
    """
    count = 16 // arrays[0].itemsize
    fits = columns % count == 0 and all(host.value(a) % 16 == 0 for a in arrays if a is not None)
    return count if fits else 1


def columns(
    host: Host, rows: int, columns: int, width: int, matrices: int = 1
) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """(grid, block) for `matrices` of rows by columns, `width` columns a thread. The grid's y splits the
    rows.
    """
    threads = ceil_div(columns, width)
    x = 1
    while x < min(threads, 32):
        x *= 2
    y = COLUMN_THREADS // x
    across = ceil_div(threads, x)
    wanted = ceil_div(8 * host.processors, max(1, across * matrices))
    splits = max(1, min(wanted, ceil_div(rows, 2 * y), 1024))
    return (across, splits, matrices), (x, y)
