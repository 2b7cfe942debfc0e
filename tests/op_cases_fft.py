"""Sample inputs of the Fourier transforms."""

from opcase import OpCase, grid, normal

NORMS = [None, "ortho", "forward"]
ONE = grid(axis=[-1, 0], n=[None, 3, 7], norm=NORMS)
MANY = [
    {},
    {"axes": (0, 1), "norm": "ortho"},
    {"s": (3, 6), "axes": (1, 2)},
    {"s": (5,), "axes": (0,), "norm": "forward"},
]
X = normal((2, 5, 4))

COMPLEX = {"complex": True, "narrow": "complex64"}
SPECTRUM = {"narrow": "complex64"}
REAL = {"complex": True, "narrow": "float32"}
TWO = [{}, {"axes": (0, 2)}]
SHIFTS = [{}, {"axes": (0, -1)}, {"axes": 1}]

CASES = [
    *[OpCase(f"fft.{name}", X, ONE, **COMPLEX) for name in ("fft", "ifft")],
    *[OpCase(f"fft.{name}", X, ONE, **SPECTRUM) for name in ("rfft", "ihfft")],
    *[OpCase(f"fft.{name}", X, ONE, **REAL) for name in ("irfft", "hfft")],
    *[OpCase(f"fft.{name}", X, MANY, **COMPLEX) for name in ("fftn", "ifftn")],
    OpCase("fft.rfftn", X, MANY, **SPECTRUM),
    OpCase("fft.irfftn", X, MANY, **REAL),
    *[OpCase(f"fft.{name}", X, TWO, **COMPLEX) for name in ("fft2", "ifft2")],
    OpCase("fft.rfft2", X, TWO, **SPECTRUM),
    OpCase("fft.irfft2", X, TWO, **REAL),
    *[OpCase(f"fft.{name}", X, SHIFTS, complex=True) for name in ("fftshift", "ifftshift")],
]
