"""Libraries written to the array API standard take Tensors: array-api-compat, SciPy, scikit-learn."""

import os
import subprocess
import sys
import textwrap

import array_api_compat

import tensorflowlite_bp as bp


def run(code):
    """In a process of its own: SciPy asks the environment when it is imported."""
    env = {**os.environ, "SCIPY_ARRAY_API": "1"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], check=True, env=env)


def test_array_api_compat():
    x = bp.asarray([[1.0, 2.0]])
    assert array_api_compat.is_array_api_obj(x)
    assert array_api_compat.array_namespace(x, x) is bp
    assert array_api_compat.device(x) == "cpu"
    assert array_api_compat.to_device(x, "cpu") is x
    assert array_api_compat.size(x) == 2
    assert array_api_compat.is_writeable_array(x)
    assert not array_api_compat.is_lazy_array(x)


def test_scipy_computes_and_differentiates():
    """SciPy's own code runs on our ops: the values are SciPy's, the gradients those of differences."""
    run("""
        import numpy as np, tensorflowlite_bp as bp
        from scipy import cluster, constants, differentiate, integrate, special, stats

        r = np.random.default_rng(0)
        x, y = np.abs(r.normal(size=(12, 3))) + 0.1, r.normal(size=(12, 3))
        functions = {
            "logsumexp": lambda a: special.logsumexp(a, axis=0),
            "softmax": lambda a: special.softmax(a, axis=1),
            "zscore": stats.zscore,
            "skew": stats.skew,
            "kurtosis": stats.kurtosis,
            "gmean": stats.gmean,
            "sem": stats.sem,
            "moment": lambda a: stats.moment(a, 3),
            "trapezoid": lambda a: integrate.trapezoid(a, axis=0),
            "whiten": cluster.vq.whiten,
            "temperature": lambda a: constants.convert_temperature(a, "C", "K"),
            "derivative": lambda a: differentiate.derivative(lambda t: t**3, a).df,
        }
        for name, f in functions.items():
            out = f(bp.asarray(x))
            assert isinstance(out, bp.Tensor), name
            np.testing.assert_allclose(out.numpy(), f(x), rtol=1e-9, err_msg=name)
            slope = np.sum(bp.grad(lambda a: bp.sum(f(a) ** 2))(x) * y)
            step = 1e-6
            want = np.sum(f(x + step * y) ** 2 - f(x - step * y) ** 2) / (2 * step)
            np.testing.assert_allclose(slope, want, rtol=1e-5, atol=1e-7, err_msg=name)
        values = [special.gammaln, special.erf, special.expit, special.ndtr]
        for f in values:
            out = f(bp.asarray(x))
            assert isinstance(out, bp.Tensor)
            np.testing.assert_allclose(out.numpy(), f(x), rtol=1e-12)
            try:  # compiled code: no gradient, and it says so
                f(bp.tensor(x, requires_grad=True))
            except TypeError as error:
                assert "gradient would be lost" in str(error)
            else:
                raise AssertionError(f)
        """)


def test_scikit_learn_dispatches():
    run("""
        import numpy as np, sklearn, tensorflowlite_bp as bp
        from sklearn.decomposition import PCA
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
        from sklearn.linear_model import Ridge
        from sklearn.metrics import r2_score
        from sklearn.metrics.pairwise import rbf_kernel
        from sklearn.mixture import GaussianMixture
        from sklearn.preprocessing import PolynomialFeatures, StandardScaler

        r = np.random.default_rng(0)
        x, y = r.normal(size=(40, 5)), r.normal(size=40)
        labels = (y > 0).astype(np.int64)
        models = {
            "PCA": lambda x, y, c: PCA(3, svd_solver="full").fit_transform(x),
            "Ridge": lambda x, y, c: Ridge(solver="svd").fit(x, y).predict(x),
            "LDA": lambda x, y, c: LinearDiscriminantAnalysis().fit(x, c).predict_proba(x),
            "mixture": lambda x, y, c: GaussianMixture(2, init_params="random", random_state=0).fit(x).means_,
            "scaler": lambda x, y, c: StandardScaler().fit_transform(x),
            "polynomials": lambda x, y, c: PolynomialFeatures(2).fit_transform(x),
            "kernel": lambda x, y, c: rbf_kernel(x),
        }
        for name, f in models.items():
            want = f(x, y, labels)
            with sklearn.config_context(array_api_dispatch=True):
                out = f(bp.asarray(x), bp.asarray(y), bp.asarray(labels))
            assert isinstance(out, bp.Tensor), name
            np.testing.assert_allclose(out.numpy(), want, rtol=1e-7, atol=1e-9, err_msg=name)
        with sklearn.config_context(array_api_dispatch=True):
            assert abs(r2_score(bp.asarray(y), bp.asarray(x[:, 0])) - r2_score(y, x[:, 0])) < 1e-12
        """)
