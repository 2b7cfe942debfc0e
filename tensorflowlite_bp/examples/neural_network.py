"""Backpropagation by hand beside backpropagation by this library: the same numbers to 1e-12.

    python -m tensorflowlite_bp.examples.neural_network

1. `NeuralNetwork(784, 128, 10)` with forward, backward and update_parameters written out in NumPy, beside the
same
   network differentiated by `bp.grad`; then trained on real handwritten digits (scikit-learn's 8 x 8 images,
   enlarged to 28 x 28 = 784 pixels).
2. The network of three inputs, two hidden neurons and one output with L = 1/(2n) sum (y - yhat)^2: every
factor of
   dL/dw_jk = dL/dyhat_k * dyhat_k/dz_k * dz_k/dw_jk written out, and each checked against the library.
"""

import numpy as np

import tensorflowlite_bp as bp
from tensorflowlite_bp import datasets

TOLERANCE = 1e-12


# ------------------------------------------------------------------ 784-128-10, by hand
class NeuralNetwork:
    """A network with one hidden layer: softmax(relu(x W1 + b1) W2 + b2), trained with cross-entropy.

    x: (batch, input_size). y_true: (batch, output_size), one-hot. The three steps of backpropagation are
    three methods.
    """

    def __init__(self, input_size, hidden_size, output_size, seed=0):
        # He initialisation: keeps the size of the signal through a ReLU, against vanishing gradients
        generator = np.random.default_rng(seed)
        self.parameters = {
            "W1": generator.normal(0, np.sqrt(2 / input_size), (input_size, hidden_size)),
            "b1": np.zeros(hidden_size),
            "W2": generator.normal(0, np.sqrt(2 / hidden_size), (hidden_size, output_size)),
            "b2": np.zeros(output_size),
        }
        self.gradients = {}

    def forward(self, x):
        p = self.parameters
        self.x = x
        self.z1 = x @ p["W1"] + p["b1"]
        self.h = np.maximum(self.z1, 0)
        z2 = self.h @ p["W2"] + p["b2"]
        e = np.exp(
            z2 - z2.max(axis=1, keepdims=True)
        )  # softmax does not change when a constant is subtracted
        return e / e.sum(axis=1, keepdims=True)

    def backward(self, y_true, y_pred):
        # L = -1/n sum y log(softmax(z2)), whose derivative with respect to z2 is (y_pred - y_true) / n
        dz2 = (y_pred - y_true) / len(y_true)
        dh = dz2 @ self.parameters["W2"].T
        dz1 = dh * (self.z1 > 0)
        self.gradients = {
            "W1": self.x.T @ dz1,
            "b1": dz1.sum(axis=0),
            "W2": self.h.T @ dz2,
            "b2": dz2.sum(axis=0),
        }

    def update_parameters(self, learning_rate):
        for name, gradient in self.gradients.items():
            self.parameters[name] -= learning_rate * gradient


# ------------------------------------------------------------------ the same network, differentiated
def cross_entropy(parameters, x, y_true):
    """The loss of NeuralNetwork as one expression; its gradient is bp.grad(cross_entropy)."""
    h = bp.nn.relu(x @ parameters["W1"] + parameters["b1"])
    logits = h @ parameters["W2"] + parameters["b2"]
    return bp.nn.softmax_cross_entropy(logits, y_true)


def difference(ours, theirs):
    """The largest difference, relative to the largest entry."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))


def check(name, by_hand, by_library):
    """Print one line of the comparison; raise AssertionError beyond 1e-12."""
    gap = difference(by_hand, by_library)
    print(f"  {name:<42} {gap:9.1e}")
    assert gap <= TOLERANCE, f"{name}: by hand and by the library differ by {gap}"
    return gap


def compare_784_128_10(batch=64, seed=0):
    """Gradients by hand and by bp.grad on a batch of random images, float64. Gives the largest difference."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(size=(batch, 784))
    y_true = np.eye(10)[generator.integers(0, 10, batch)]
    model = NeuralNetwork(784, 128, 10, seed)
    y_pred = model.forward(x)
    model.backward(y_true, y_pred)
    found = bp.grad(cross_entropy)(model.parameters, x, y_true)
    return max(check(f"dL/d{name}", model.gradients[name], found[name]) for name in model.parameters)


def train_784_128_10(num_epochs=20, batch_size=16, learning_rate=0.1, seed=0):
    """The seed's training loop on real digits, twice: by hand and by the library. Gives the two test
    accuracies.
    """
    (x_train, y_train), (x_test, y_test) = datasets.digits_784()
    x_train, x_test, y_train = x_train.astype(np.float64), x_test.astype(np.float64), np.eye(10)[y_train]
    model = NeuralNetwork(input_size=784, hidden_size=128, output_size=10, seed=seed)
    other = NeuralNetwork(input_size=784, hidden_size=128, output_size=10, seed=seed)
    gradient = bp.grad(cross_entropy)
    generator = np.random.default_rng(seed)
    for _ in range(num_epochs):
        order = generator.permutation(len(x_train))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            x, y_true = x_train[rows], y_train[rows]
            y_pred = model.forward(x)
            model.backward(y_true, y_pred)
            model.update_parameters(learning_rate)
            other.gradients = gradient(other.parameters, x, y_true)
            other.update_parameters(learning_rate)
    return tuple(float(np.mean(m.forward(x_test).argmax(axis=1) == y_test)) for m in (model, other))


# ------------------------------------------------------------------ 3-2-1, formula by formula
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def sigmoid_derivative(a):
    """dsigma/dz written in the activation a = sigma(z)."""
    return a * (1 - a)


def mean_squared_error(y, y_hat):
    """L = 1/(2n) sum_i (y_i - yhat_i)^2"""
    return ((y - y_hat) ** 2).sum() / (2 * len(y))


def network_3_2_1(w_ij, w_jk, x):
    """Three inputs, two hidden neurons, one output, sigmoid activations: (z_j, h_j, z_k, yhat_k)."""
    z_j = x @ w_ij
    h_j = bp.nn.sigmoid(z_j)
    z_k = h_j @ w_jk
    return z_j, h_j, z_k, bp.nn.sigmoid(z_k)


def compare_3_2_1(n=5, seed=0):
    """Every factor of the chain rule by hand and by bp.grad, float64. Gives the largest difference."""
    generator = np.random.default_rng(seed)
    x, y = generator.normal(size=(n, 3)), generator.uniform(size=(n, 1))
    w_ij, w_jk = generator.normal(size=(3, 2)), generator.normal(size=(2, 1))

    # forward
    z_j = x @ w_ij
    h_j = sigmoid(z_j)
    z_k = h_j @ w_jk
    y_hat = sigmoid(z_k)

    # the factors, each by its own formula
    dL_dy = -(y - y_hat) / n
    dy_dz = sigmoid_derivative(y_hat)
    dz_dw = h_j
    # dL/dw_jk = dL/dyhat_k * dyhat_k/dz_k * dz_k/dw_jk, summed over the samples
    dL_dw_jk = dz_dw.T @ (dL_dy * dy_dz)
    # dL/dw_ij = dL/dyhat_k * dyhat_k/dz_k * dz_k/dh_j * dh_j/dz_j * dz_j/dw_ij
    dL_dw_ij = x.T @ ((dL_dy * dy_dz) @ w_jk.T * sigmoid_derivative(h_j))

    def loss(w_ij, w_jk):
        return mean_squared_error(y, network_3_2_1(w_ij, w_jk, x)[-1])

    found_ij, found_jk = bp.grad(loss, argnums=(0, 1))(w_ij, w_jk)
    gaps = [
        check("dL/dyhat_k = -(y - yhat) / n", dL_dy, bp.grad(lambda p: mean_squared_error(y, p))(y_hat)),
        check("dyhat_k/dz_k = yhat (1 - yhat)", dy_dz, bp.elementwise_grad(bp.nn.sigmoid)(z_k)),
        check("dz_k/dw_jk = h_j", dz_dw.sum(axis=0)[:, None], bp.grad(lambda w: (h_j @ w).sum())(w_jk)),
        check("dL/dw_jk, the product of the three", dL_dw_jk, found_jk),
        check("dL/dw_ij, through the hidden layer", dL_dw_ij, found_ij),
    ]
    # gradient descent, w <- w - alpha dL/dw, lowers the loss
    before, after = loss(w_ij, w_jk), loss(w_ij - 0.5 * dL_dw_ij, w_jk - 0.5 * dL_dw_jk)
    print(f"  one step of gradient descent: L {float(before):.6f} -> {float(after):.6f}")
    assert float(after) < float(before)
    return max(gaps)


def main():
    print("784-128-10: gradients by hand and by bp.grad, largest relative difference (float64)")
    compare_784_128_10()
    print("3-2-1 with L = 1/(2n) sum (y - yhat)^2: every factor of the chain rule")
    compare_3_2_1()
    print("784-128-10 on real digits (scikit-learn's 8 x 8, enlarged to 28 x 28), 20 epochs")
    by_hand, by_library = train_784_128_10()
    print(f"  test accuracy: {by_hand:.4f} by hand, {by_library:.4f} by the library")


if __name__ == "__main__":
    main()
