"""The catalogue: one entry for each metric. Its type says what an entry means."""

from __future__ import annotations

from typing import Literal

from flowbench.metrics.metric import Family, Form, Group, Metric


def _round_trip(about: str, family: Family, head: str, unit: str = "data units") -> Metric:
    return Metric(unit, "lower", about, family, head, seeds="worst", reproduces="rounding", form="power")


def _cost(
    unit: str,
    better: Literal["lower", "higher"],
    about: str,
    head: str,
    family: Family = "cost",
    form: Form = "rate",
) -> Metric:
    return Metric(unit, better, about, family, head, host_dependent=True, form=form)


METRICS: dict[str, Metric] = {
    # How good a flow is.
    "kl_to_target": Metric(
        "nats",
        "lower",
        "KL(model ‖ target) by quadrature on a grid, the target's normaliser by the same quadrature.",
        "quality",
        "KL to target, nats",
    ),
    "bits_per_dim": Metric(
        "bits/dim",
        "lower",
        "-log p(x) / (D ln 2) on the test split, in data space; where uniform noise dequantises grey levels, an upper "
        "bound on theirs.",
        "quality",
        "bits per dim",
    ),
    "sliced_wasserstein": Metric(
        "data units",
        "lower",
        "Sliced 1-Wasserstein distance between samples and the test split; of images in grey levels. Samples of the "
        "true distribution have a distance above 0, too.",
        "quality",
        "sliced Wasserstein",
    ),
    "energy_distance": Metric(
        "data units",
        "lower",
        "Energy distance between samples and the test split; of images in grey levels. Samples of the true "
        "distribution have a distance above 0, too.",
        "quality",
        "energy distance",
    ),
    "wasserstein_2": Metric(
        "data units",
        "lower",
        "Exact 2-Wasserstein distance between up to 1,000 samples and equally many test points. Samples of the true "
        "distribution have a distance above 0, too: for instance 0.3 on transports to moons, 0.6 to eight Gaussians.",
        "quality",
        "2-Wasserstein",
    ),
    "minor_mode_share": Metric(
        "",
        "higher",
        "Share of samples in the less visited of the two modes: 0.5 if both are found.",
        "quality",
        "minor mode",
        reproduces="share",
    ),
    # What belongs to a log-likelihood.
    "nll_nats": Metric("nats", "lower", "Mean negative log-likelihood of a test example, in data space.", "likelihood"),
    "bits_per_dim_standard_error": Metric(
        "bits/dim",
        None,
        "Standard error of the bits per dim, since the test examples are a sample themselves.",
        "likelihood",
    ),
    "bits_per_dim_noise_std": Metric(
        "bits/dim",
        None,
        "Standard deviation of the test split's bits per dim between draws of the dequantisation noise.",
        "likelihood",
    ),
    "noise_draws": Metric(
        "",
        None,
        "Draws of the dequantisation noise that the bits per dim are averaged over.",
        "likelihood",
        reproduces="exact",
    ),
    "entropy_floor_bits_per_dim": Metric(
        "bits/dim", None, "Entropy of the true density: in expectation no model has fewer bits per dim.", "truth"
    ),
    "true_bits_per_dim": Metric(
        "bits/dim",
        None,
        "Bits per dim of the true density on the test examples that the model is measured on.",
        "truth",
    ),
    "learnt_mean_error": Metric(
        "true std",
        "lower",
        "Largest |learnt mean - true mean| over features, in true standard deviations.",
        "moments",
        "error of the mean, in true std",
        reproduces="share",
    ),
    "learnt_std_error": Metric(
        "true std",
        "lower",
        "Largest |learnt std - true std| over features, in true standard deviations.",
        "moments",
        "error of the std, in true std",
        reproduces="share",
    ),
    # Certificates: round trips, log-determinants, densities.
    "invertibility_error_max": _round_trip(
        "Largest |x - decode(encode(x))| over test points, in float32; images are dequantised to between 0 and 1; "
        "for an autoencoder, x is a code of its encoder.",
        "float32",
        "data, max",
    ),
    "invertibility_error_p99": _round_trip(
        "99th percentile of |x - decode(encode(x))| over test points, in float32.", "float32", "data, p99"
    ),
    "invertibility_error_mean": _round_trip(
        "Mean of |x - decode(encode(x))| over test points, in float32.", "float32", "data, mean"
    ),
    "invertibility_error_max_noise": _round_trip(
        "Largest |x - decode(encode(x))| over uniform noise that covers the data, in float32.", "float32", "noise, max"
    ),
    "latent_invertibility_error_max": _round_trip(
        "Largest |z - encode(decode(z))| over prior samples, in float32.", "float32", "latent, max", "latent units"
    ),
    "non_finite_share": _round_trip(
        "Share of float32 round trips of data, prior samples and noise that are not finite.",
        "float32",
        "not finite",
        "",
    ),
    "invertibility_error_max_float64": _round_trip(
        "Largest |x - decode(encode(x))| over test points, in float64.", "float64", "data, max"
    ),
    "invertibility_error_max_noise_float64": _round_trip(
        "Largest |x - decode(encode(x))| over uniform noise that covers the data, in float64.", "float64", "noise, max"
    ),
    "latent_invertibility_error_max_float64": _round_trip(
        "Largest |z - encode(decode(z))| over prior samples, in float64.", "float64", "latent, max", "latent units"
    ),
    "non_finite_share_float64": _round_trip("The same share in float64.", "float64", "not finite", ""),
    "logdet_error_max": _round_trip(
        "Largest error of either log-determinant against autograd's slogdet, and of their sum against 0; float64.",
        "log-determinant",
        "log-det., max",
        "nats",
    ),
    "divergence_error_max": _round_trip(
        "Largest error, per unit of time, of the divergence that Hutchinson's probes estimate: with all unit vectors "
        "for probes it must be the trace of autograd's Jacobian of the field; float64.",
        "log-determinant",
        "divergence, max",
        "nats",
    ),
    "sample_log_prob_error_max": _round_trip(
        "Largest difference between the log-density of a sample by decode and by encode, in float64; for an "
        "autoencoder, of its codes.",
        "density",
        "density there and back",
        "bits/dim",
    ),
    "log_prob_error_max": _round_trip(
        "Largest difference between log-densities of test data in float32 and in float64; for an autoencoder, of its "
        "codes.",
        "density",
        "density float32 – float64",
        "bits/dim",
    ),
    "density_mass": Metric(
        "",
        None,
        "Integral of the model's density over the grid: 1 less what lies outside.",
        "density",
        "mass on grid",
        form="share",
    ),
    "outside_share": Metric(
        "",
        None,
        "Share of the model's samples that lie outside of the grid.",
        "density",
        "samples outside",
        reproduces="share",
        form="share",
    ),
    "mass_error": Metric(
        "",
        "lower",
        "|mass on the grid + share of samples outside - 1|, which sampling alone makes as large as 0.01.",
        "density",
        "mass error",
        seeds="worst",
        reproduces="share",
        form="power",
    ),
    # Continuous flows.
    "solver_tolerance": Metric(
        "",
        None,
        "Tolerance of the solver of a continuous flow, absolute and relative.",
        "solver",
        "tolerance",
        reproduces="exact",
        form="power",
    ),
    "log_prob_evaluations": Metric(
        "",
        "lower",
        "Evaluations of the vector field for one density.",
        "solver",
        "evaluations, density",
        reproduces="rounding",
        form="count",
    ),
    "sample_evaluations": Metric(
        "",
        "lower",
        "Evaluations of the vector field for one sample.",
        "solver",
        "evaluations, sample",
        reproduces="rounding",
        form="count",
    ),
    "bits_per_dim_solver_error": _round_trip(
        "|Change| of the bits per dim of some test points in float64 and at a tenth of the solver's tolerance.",
        "solver",
        "solver error, bits per dim",
        "bits/dim",
    ),
    "probes": Metric(
        "", None, "Random signs of Hutchinson's estimate of the divergence.", "solver", reproduces="exact"
    ),
    "bits_per_dim_probe_std": Metric(
        "bits/dim",
        "lower",
        "Standard deviation of an example's bits per dim between single probes.",
        "solver",
        "probe spread, bits per dim",
        form="mean",
    ),
    "path_energy": Metric(
        "flow units²",
        "lower",
        "Mean integral of the squared speed along the paths of samples from start to data.",
        "solver",
        "path energy",
    ),
    "normalised_path_energy": Metric(
        "",
        "lower",
        "|E - W₂²| / W₂² of the path energy E and the squared 2-Wasserstein distance from start to data, which is the "
        "energy of the straightest transport; with 1,000 points each, E / W₂² is uncertain by about 5 %.",
        "solver",
        "normalised path energy",
        reproduces="share",
    ),
    "invertibility_error_max_tightened": _round_trip(
        "Largest |x - decode(encode(x))| over test points, in float64 and at a tenth of the solver's tolerance.",
        "solver",
        "round trip, tightened",
    ),
    # Autoencoders.
    "reconstruction_error": Metric(
        "",
        "lower",
        "Mean squared error per pixel of an autoencoder's test images, whose shades are from 0 to 1.",
        "autoencoder",
        "squared error",
    ),
    "psnr": Metric(
        "dB",
        "higher",
        "Peak signal-to-noise ratio: -10 log₁₀ of the reconstruction error.",
        "autoencoder",
        "PSNR, dB",
    ),
    "latent_bits_per_dim": Metric(
        "bits/dim",
        None,
        "-log p / (d ln 2) of the d numbers that an encoder makes of a test image, with the noise that the flow learnt "
        "from. Encoders that do not standardise them cannot be compared.",
        "autoencoder",
        "bits per latent dim",
    ),
    # Students.
    "teacher_bits_per_dim": Metric(
        "bits/dim",
        None,
        "Bits per dim of a student's teacher on the same test split with the same noise.",
        "distillation",
        "teacher's bits per dim",
    ),
    "kl_to_teacher": Metric(
        "nats",
        "lower",
        "KL(student ‖ teacher) of an example, a mean over the student's samples.",
        "distillation",
        "KL to teacher, nats",
    ),
    "kl_to_teacher_standard_error": Metric(
        "nats",
        None,
        "Standard error of that mean.",
        "distillation",
        "standard error, nats",
        form="mean",
    ),
    "distillation_speedup": _cost(
        "",
        "higher",
        "How many times faster a student samples than its teacher does here.",
        "faster than teacher here",
        "distillation",
        form="times",
    ),
    "distillation_speedup_naive": _cost(
        "",
        "higher",
        "How many times faster a student samples than its teacher would by a pass of the whole network per feature.",
        "faster than D passes",
        "distillation",
        form="times",
    ),
    # Size and cost.
    "parameters": Metric(
        "",
        "lower",
        "Learnt numbers in the model, with those that a mask hides.",
        "size",
        "parameters",
        reproduces="exact",
        form="count",
    ),
    "train_seconds": _cost(
        "s",
        "lower",
        "Time of one training, validation included; on a CPU of its thread alone, without what else ran there.",
        "training, s",
        form="range",
    ),
    "train_samples_per_second": _cost("1/s", "higher", "Training examples per second.", "training, 1/s"),
    "log_prob_samples_per_second": _cost("1/s", "higher", "Densities evaluated per second.", "density, 1/s"),
    "sample_samples_per_second": _cost("1/s", "higher", "Samples drawn per second.", "sampling, 1/s"),
    "peak_memory_mb": _cost(
        "MB",
        "lower",
        "Largest memory of the training process (on a GPU: of its allocator).",
        "peak memory, MB",
        form="mean",
    ),
}

# Round trips of latents are measured at these multiples of the prior's standard deviation.
LATENT_STDS = (1, 2, 3, 4, 5)
STARTS = {
    "data": ("test data", "data"),
    "samples": ("samples of the model", "samples"),
    "noise": ("uniform noise that covers the data", "noise"),
    **{f"latents_{k}_std": (f"latents of {k} times the prior's standard deviation", f"{k} σ") for k in LATENT_STDS},
}
_LENGTHS = Group(
    "round-trip error, L2",
    "l2_error_START",
    "data or latent units",
    "Mean over examples of |x - decode(encode(x))|₂ in float32, of those that are finite, with START one of data, "
    "samples, noise and, for |z - encode(decode(z))|₂, latents_K_std: latents of K times the prior's deviation.",
)
_LOST = Group("share lost", "lost_share_START", "", "Share of these round trips that are not finite.")
for _start, (_words, _head) in STARTS.items():
    METRICS[f"l2_error_{_start}"] = Metric(
        "data units" if "latents" not in _start else "latent units",
        "lower",
        f"Mean distance between {_words} and their float32 round trips, of those that are finite.",
        "stress",
        _head,
        reproduces="rounding",
        group=_LENGTHS,
    )
    METRICS[f"lost_share_{_start}"] = Metric(
        "",
        "lower",
        f"Share of float32 round trips of {_words} that are not finite.",
        "stress",
        reproduces="rounding",
        group=_LOST,
    )

# Samples of few steps take these numbers of evaluations of a continuous flow's field.
FEW_EVALUATIONS = (2, 4, 8, 16, 32, 64)
_METHODS = {
    "data": "equally many other test data",
    "adaptive": "samples by the adaptive solver at its tolerance, from the same latents",
    **{f"euler_{n}": f"samples by {n} steps of Euler's method, from the same latents" for n in FEW_EVALUATIONS},
    **{
        f"midpoint_{n}": f"samples by {n // 2} steps of the midpoint method, from the same latents"
        for n in FEW_EVALUATIONS
    },
}
_FEW = Group(
    "energy distance of few evaluations",
    "energy_distance_METHOD_N",
    "data units",
    "Energy distance between test data and samples that took N evaluations of a continuous flow's field, by Euler's "
    "method or by the midpoint method; energy_distance_adaptive is by the adaptive solver at its tolerance. All start "
    "from the same latents. energy_distance_data is the mean distance of equally many other test data.",
)
for _method, _words in _METHODS.items():
    METRICS[f"energy_distance_{_method}"] = Metric(
        "data units", "lower", f"Energy distance between test data and {_words}.", "few steps", group=_FEW
    )

# 2-D data whose moments are known: the report sets the learnt beside the true.
for _feature in (1, 2):
    for _moment in ("mean", "std"):
        METRICS[f"learnt_{_moment}_x{_feature}"] = Metric(
            "data units",
            None,
            f"{_moment} of feature {_feature} under the model.",
            "moments",
            f"{_moment} of x{_feature}",
        )
        METRICS[f"true_{_moment}_x{_feature}"] = Metric(
            "data units", None, f"{_moment} of feature {_feature} in truth.", "truth"
        )


def of_family(*families: Family) -> dict[str, Metric]:
    """The metrics of some families, by name, in the order of the catalogue."""
    return {name: metric for name, metric in METRICS.items() if metric.family in families}


def stored_facts() -> list[tuple]:
    """What stored results depend on in each entry. Another sentence or head makes no result stale."""
    return [(name, m.unit, m.better, m.seeds, m.host_dependent) for name, m in METRICS.items()]
