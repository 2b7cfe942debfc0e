"""Samples of NumPy's products, of numpy.linalg and of numpy.fft."""

import numpy as np

from ._coverage import C, M, R, Sample, V, W, X, Y, sample

one = lambda f, a: f(a)
two = lambda f, a, b: f(a, b)
A = R.normal(size=(4, 3))
SPD = M @ M.T + np.eye(3)
T = R.normal(size=(2, 3, 6))

SAMPLES: list[Sample] = [
    sample("dot", two, X, M), sample("inner vdot", two, V, W), sample("outer kron tensordot", two, X, Y[:, :1] * Y),
    sample("cross", two, X, Y),
    sample("einsum", lambda f, a, b: f("ij,kj->ik", a, b), X, M),
    # ------------------------------------------------------------------ numpy.linalg
    sample("linalg.det linalg.inv linalg.slogdet", one, M),
    sample("linalg.solve", two, M, V[:3]),
    sample("linalg.cholesky", lambda f, a: f(a @ a.T + np.eye(3)), M),
    sample("linalg.qr", lambda f, a: f(a), A),
    sample("linalg.svd", lambda f, a: f(a, full_matrices=False)[1], A, note="vectors too, where values differ"),
    sample("linalg.svdvals", lambda f, x: f(x), A),
    sample("linalg.eigh", lambda f, a: f(a + a.T), M, note="where eigenvalues differ"),
    sample("linalg.eigvalsh", lambda f, a: f(a + a.T), M),
    sample("linalg.eig", lambda f, a: f(a)[0], M, note="vectors too, where eigenvalues differ"),
    sample("linalg.eigvals", one, M, note="where eigenvalues differ"),
    sample("linalg.pinv", one, A),
    sample("linalg.lstsq", lambda f, a, b: f(a, b)[0], A, V),
    sample("linalg.norm linalg.matrix_norm linalg.vector_norm", lambda f, x: f(x), X, note="0 at 0; all orders"),
    sample("linalg.cond", lambda f, x: f(x), M),
    sample("linalg.matrix_power", lambda f, a: f(a, 3), M),
    sample("linalg.multi_dot", lambda f, a, b, c: f([a, b, c]), X, M, A.T),
    sample("linalg.tensorinv", lambda f, a: f(a, 1), T.reshape(2, 3, 6).transpose(2, 0, 1) + 0.0),
    sample("linalg.tensorsolve", two, T.reshape(6, 6)[:6].reshape(6, 2, 3), R.normal(size=6)),
    sample("linalg.matmul", lambda f, x1, x2: f(x1, x2), X, M),
    sample("linalg.outer", lambda f, x1, x2: f(x1, x2), V, W),
    sample("linalg.tensordot", lambda f, x1, x2: f(x1, x2, axes=1), X, M),
    sample("linalg.vecdot linalg.cross", lambda f, x1, x2: f(x1, x2), X, Y),
    sample("linalg.diagonal linalg.trace linalg.matrix_transpose", lambda f, x: f(x), M),
    # ------------------------------------------------------------------ numpy.fft
    sample("fft.fft fft.ifft fft.fft2 fft.ifft2 fft.fftn fft.ifftn", one, C, note="all norms"),
    sample("fft.rfft fft.rfft2 fft.rfftn fft.ihfft", one, X, note="all norms"),
    sample("fft.irfft fft.irfft2 fft.irfftn fft.hfft", one, C, note="all norms"),
    sample("fft.fftshift fft.ifftshift", lambda f, x: f(x), X),
]  # fmt: skip
