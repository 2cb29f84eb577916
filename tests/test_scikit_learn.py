"""scikit-learn runs on arrays of funcnn, through the array API."""

import os
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("sklearn")

SETUP = """
    import numpy as np
    import sklearn
    import funcnn as fn

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)).astype(np.float32) @ np.diag([3, 2, 1, 0.5]).astype(np.float32)
    y = (X[:, 0] + 0.3 * rng.normal(size=60) > 0).astype(np.int32)
    a, b = fn.asarray(X), fn.asarray(y)
"""


def run(program):
    # SciPy reads the variable when it is imported.
    text = textwrap.dedent(SETUP) + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", text],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_pca():
    run("""
        from sklearn.decomposition import PCA

        plain = PCA(n_components=2, svd_solver="full").fit(X)
        with sklearn.config_context(array_api_dispatch=True):
            ours = PCA(n_components=2, svd_solver="full").fit(a)
            projected = ours.transform(a)
            back = ours.inverse_transform(projected)
        for x in (projected, back, ours.components_, ours.mean_):
            assert type(x) is fn.array, type(x)
        np.testing.assert_allclose(ours.components_, plain.components_, atol=1e-4)
        np.testing.assert_allclose(ours.explained_variance_, plain.explained_variance_, rtol=1e-4)
        np.testing.assert_allclose(projected, plain.transform(X), atol=1e-3)
    """)


def test_linear_discriminant_analysis():
    # It assigns to items of arrays that it makes, which only handles that may be pointed elsewhere take: those of
    # funcnn.compat, here made by hand.
    run("""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        plain = LinearDiscriminantAnalysis().fit(X, y)
        zeros = fn.zeros
        fn.zeros = lambda *args, **kwargs: fn._core._mutable(zeros(*args, **kwargs))
        with sklearn.config_context(array_api_dispatch=True):
            ours = LinearDiscriminantAnalysis().fit(a, b)
            chances, found = ours.predict_proba(a), ours.predict(a)
        assert isinstance(chances, fn.array) and isinstance(found, fn.array)
        np.testing.assert_allclose(chances, plain.predict_proba(X), atol=1e-3)
        np.testing.assert_array_equal(found, plain.predict(X))
    """)


def test_assignment_says_what_to_do():
    run("""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        with sklearn.config_context(array_api_dispatch=True):
            try:
                LinearDiscriminantAnalysis().fit(a, b)
            except TypeError as error:
                assert "use y = x.at[index].set(value)" in str(error)
            else:
                raise AssertionError("assigned to an immutable array")
    """)
