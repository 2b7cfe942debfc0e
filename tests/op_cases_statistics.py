"""Sample inputs of running products and what else statistics needs."""

from opcase import OpCase, grid, normal


def with_zeros(*shape):
    return lambda r: [r.normal(size=shape) * (r.uniform(size=shape) > 0.3)]


CASES = [
    OpCase("cumprod", normal((2, 5)), grid(axis=[None, 0, 1]), complex=True),
    OpCase("logaddexp", lambda r: [r.normal(size=3)] * 2, id="logaddexp-equal"),
    OpCase("cumprod", with_zeros(3, 7), grid(axis=[None, 0, -1]), complex=True, id="cumprod-zeros"),
]
