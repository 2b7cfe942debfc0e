"""Programs in the style of HIPS autograd's documentation, with the import lines changed and nothing else."""

import itertools

import numpy as onp
import optree
import pytest

import tensorflowlite_bp.numpy as np
import tensorflowlite_bp.numpy.random as npr
from tensorflowlite_bp import elementwise_grad as egrad
from tensorflowlite_bp import grad, hessian, jacobian, value_and_grad
from tensorflowlite_bp.testing import check_grads


def tanh(x):
    return (1.0 - np.exp(-2 * x)) / (1.0 + np.exp(-(2 * x)))


def test_derivatives_of_tanh_to_the_sixth():
    """Against the polynomials in tanh that its derivatives are: d/dx p(t) = p'(t) (1 - t^2)."""
    x = np.linspace(-7, 7, 200)
    t, p, f = onp.tanh(x), onp.polynomial.Polynomial([0, 1]), tanh
    for _ in range(6):
        p, f = p.deriv() * onp.polynomial.Polynomial([1, 0, -1]), egrad(f)
        onp.testing.assert_allclose(f(x), p(t), rtol=1e-9, atol=1e-12)
        assert type(f(x)) is onp.ndarray
    assert grad(tanh)(1.0) == pytest.approx(1 / onp.cosh(1.0) ** 2, rel=1e-14)


def test_a_taylor_series_with_a_loop_that_depends_on_values():
    def sine(x):
        total = term = x
        k = 0
        while abs(term) > 1e-17:
            term = -term * x * x / ((2 * k + 3) * (2 * k + 2))
            total, k = total + term, k + 1
        return total

    assert grad(sine)(1.2) == pytest.approx(onp.cos(1.2), rel=1e-14)
    assert grad(grad(sine))(1.2) == pytest.approx(-onp.sin(1.2), rel=1e-13)


def test_logistic_regression():
    inputs = np.array([[0.52, 1.12, 0.77], [0.88, -1.08, 0.15], [0.52, 0.06, -1.30], [0.74, -2.49, 1.39]])
    targets = np.array([True, True, False, True])

    def predictions(weights):
        return 0.5 * (np.tanh(np.dot(inputs, weights)) + 1)

    def loss(weights):
        p = predictions(weights)
        return -np.sum(np.log(p * targets + (1 - p) * (1 - targets)))

    check_grads(loss, (np.array([0.3, -0.2, 0.1]),))
    weights, first = np.array([0.0, 0.0, 0.0]), loss(np.zeros(3))
    gradient = grad(loss)
    for _ in range(100):
        weights -= gradient(weights) * 0.01
    assert loss(weights) < first / 2
    value, slope = value_and_grad(loss)(weights)
    assert value == loss(weights)
    onp.testing.assert_allclose(slope, gradient(weights))


def test_a_neural_net_with_weights_in_lists_of_tuples():
    rs = npr.RandomState(0)
    sizes = [5, 8, 6, 3]
    params = [(0.4 * rs.randn(m, n), 0.4 * rs.randn(n)) for m, n in itertools.pairwise(sizes)]
    inputs, targets = rs.randn(40, 5), np.eye(3)[rs.randint(0, 3, 40)]

    def predict(params, inputs):
        for W, b in params:
            outputs = np.dot(inputs, W) + b
            inputs = np.tanh(outputs)
        return outputs - np.log(np.sum(np.exp(outputs), axis=1, keepdims=True))

    def objective(params, step):
        norm = sum(np.sum(W**2) + np.sum(b**2) for W, b in params)
        return 1e-3 * norm - np.sum(predict(params, inputs) * targets) / 40

    check_grads(lambda p: objective(p, 0), (params,), order=1)
    first = objective(params, 0)
    for step in range(200):
        g = grad(objective)(params, step)
        params = optree.tree_map(lambda p, d: p - 0.2 * d, params, g)
    assert objective(params, 0) < first / 2
    hits = np.argmax(predict(params, inputs), axis=1) == np.argmax(targets, axis=1)
    assert np.mean(hits) > 0.8


def test_a_gaussian_process_likelihood():
    rs = npr.RandomState(1)
    x, y = rs.randn(8), rs.randn(8)

    def likelihood(log_parameters):
        scale, length, noise = np.exp(log_parameters)
        K = scale * np.exp(-0.5 * ((x[:, None] - x[None, :]) / length) ** 2) + noise * np.eye(8)
        _, logdet = np.linalg.slogdet(K)
        return -0.5 * (np.dot(y, np.linalg.solve(K, y)) + logdet + 8 * np.log(2 * np.pi))

    check_grads(likelihood, (np.array([0.1, -0.3, -1.0]),))
    H = hessian(likelihood)(np.array([0.1, -0.3, -1.0]))
    onp.testing.assert_allclose(H, H.T, rtol=1e-9)


def test_a_fluid_that_advects_by_rolling():
    def advect(f, vx, vy):
        rows, cols = f.shape
        cell_y, cell_x = np.meshgrid(np.arange(cols), np.arange(rows))
        xs, ys = (cell_x - vx).ravel(), (cell_y - vy).ravel()
        left, top = np.floor(xs).astype(int), np.floor(ys).astype(int)
        rw, bw = xs - left, ys - top
        left, right = np.mod(left, rows), np.mod(left + 1, rows)
        top, bot = np.mod(top, cols), np.mod(top + 1, cols)
        flat = (1 - rw) * ((1 - bw) * f[left, top] + bw * f[left, bot])
        flat = flat + rw * ((1 - bw) * f[right, top] + bw * f[right, bot])
        return np.reshape(flat, (rows, cols))

    def project(vx, vy):
        p, h = np.zeros(vx.shape), 1.0 / vx.shape[0]
        div = (
            -0.5
            * h
            * (
                np.roll(vx, -1, axis=0)
                - np.roll(vx, 1, axis=0)
                + np.roll(vy, -1, axis=1)
                - np.roll(vy, 1, axis=1)
            )
        )
        for _ in range(3):
            p = (
                div
                + np.roll(p, 1, axis=0)
                + np.roll(p, -1, axis=0)
                + np.roll(p, 1, axis=1)
                + np.roll(p, -1, axis=1)
            ) / 4.0
        vx = vx - 0.5 * (np.roll(p, -1, axis=0) - np.roll(p, 1, axis=0)) / h
        return vx, vy - 0.5 * (np.roll(p, -1, axis=1) - np.roll(p, 1, axis=1)) / h

    rs = npr.RandomState(2)
    vx, vy, smoke = 0.3 * rs.rand(4, 5), 0.3 * rs.rand(4, 5), rs.rand(4, 5)

    def objective(vx, vy):
        f = smoke
        for _ in range(2):
            vx, vy = project(vx, vy)
            f = advect(f, 0.1 * vx, 0.1 * vy)
        return np.mean((f - 0.5) ** 2)

    check_grads(objective, (vx, vy), order=1)


def test_jacobians_of_arrays_of_results():
    def f(x):
        return np.array([x[0] * x[1], np.sin(x[0]), x[1] ** 3])

    x = np.array([0.5, 2.0])
    want = [[2.0, 0.5], [onp.cos(0.5), 0.0], [0.0, 12.0]]
    onp.testing.assert_allclose(jacobian(f)(x), want)
