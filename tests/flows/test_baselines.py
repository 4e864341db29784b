"""The baselines, against scipy and against what they are fitted to."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from flowbench import flows
from flowbench.core import Event
from flowbench.runtime.seeding import seeded

PLANE = Event((2,))


@pytest.fixture(scope="module")
def three_clusters():
    rng = np.random.default_rng(0)
    centres = np.array([[-4.0, 0], [4, 0], [0, 6]])
    x = centres[rng.integers(3, size=900)] + rng.normal(size=(900, 2)) * [0.5, 0.3]
    x = torch.from_numpy(x.astype(np.float32))
    return x[:600], x[600:]


def fitted(name: str, event: Event, options: dict, splits: tuple[torch.Tensor, torch.Tensor]):
    model = flows.build(name, event, options)
    with seeded(0):
        model.fit(*splits)
    return model


def test_gaussian_has_the_moments_of_its_data(three_clusters):
    train, validation = three_clusters
    model = fitted("gaussian", PLANE, {}, three_clusters)
    expected = multivariate_normal(train.double().mean(0), np.cov(train.numpy().T, bias=True)).logpdf(validation)
    np.testing.assert_allclose(model.log_prob(validation).numpy(), expected, atol=5e-3)


def test_number_of_components_is_chosen_on_the_validation_split(three_clusters):
    model = fitted("gaussian_mixture", PLANE, {"components": [1, 3, 40]}, three_clusters)
    weights = model.prior.log_weights.exp()
    assert int((weights > 0).sum()) == 3
    assert float(weights.sum()) == pytest.approx(1)
    gaussian = fitted("gaussian", PLANE, {}, three_clusters)
    assert float(model.loss(three_clusters[1])) < float(gaussian.loss(three_clusters[1])) - 0.5
    samples = model.sample(5000)  # those without weight are never drawn
    torch.testing.assert_close(samples.mean(0), three_clusters[0].mean(0), atol=0.3, rtol=0)


def test_the_same_seed_gives_the_same_fit(three_clusters):
    first, again = (
        fitted("gaussian_mixture", PLANE, {"components": [2, 3]}, three_clusters).state_dict() for _ in range(2)
    )
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_a_constant_pixel_does_not_break_the_fit():
    with seeded(0):
        images = torch.randint(17, (200, 1, 2, 2))
    images[:, :, 0, 0] = 0
    event = Event((1, 2, 2), levels=17)
    model = fitted("gaussian_mixture", event, {"components": [1, 2], "logit": 0.05}, (images[:150], images[150:]))
    assert model.log_prob(images).isfinite().all()
    assert model.sample(10).shape == (10, 1, 2, 2)


def test_a_diagonal_gaussian_knows_no_correlation(three_clusters):
    train, validation = three_clusters
    model = fitted("gaussian", PLANE, {"covariance": "diagonal"}, three_clusters)
    variances = train.double().var(0, unbiased=False)
    expected = multivariate_normal(train.double().mean(0), variances).logpdf(validation)
    np.testing.assert_allclose(model.log_prob(validation).numpy(), expected, atol=5e-3)
    assert model.parameter_count() == 4
    assert fitted("gaussian", PLANE, {}, three_clusters).parameter_count() == 5
