"""Bitwise operations on integers and bools. Floats have none: NumPy's TypeError says so."""

from ..autograd.record import nondiff

bitwise_and = nondiff("bitwise_and", lambda B, x, y: x & y, arrays=2, doc="x1 & x2, bit by bit.")
bitwise_or = nondiff("bitwise_or", lambda B, x, y: x | y, arrays=2, doc="x1 | x2, bit by bit.")
bitwise_xor = nondiff("bitwise_xor", lambda B, x, y: x ^ y, arrays=2, doc="x1 ^ x2, bit by bit.")
invert = nondiff("invert", lambda B, x: ~x, doc="~x: every bit turned over; logical not of bools.")
left_shift = nondiff("left_shift", lambda B, x, y: x << y, arrays=2, doc="x1 * 2 ** x2.")
right_shift = nondiff("right_shift", lambda B, x, y: x >> y, arrays=2, doc="floor(x1 / 2 ** x2).")

bitwise_invert = bitwise_not = invert
bitwise_left_shift = left_shift
bitwise_right_shift = right_shift
