"""The names, units and meanings of everything that the suite measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    Attributes:
        unit: of its values; empty for a pure number.
        better: whether lower or higher values are better; ``None`` where neither is.
        about: one sentence for the reader of a report.
        host_dependent: whether another machine gives another value even from the same weights.
    """

    unit: str
    better: Literal["lower", "higher"] | None
    about: str
    host_dependent: bool = False


METRICS: dict[str, Metric] = {
    "bits_per_dim": Metric(
        "bits/dim",
        "lower",
        "-log p(x) / (D ln 2) on the test split, in data space; where uniform noise dequantises grey levels, an "
        "upper bound on theirs.",
    ),
    "bits_per_dim_standard_error": Metric(
        "bits/dim", None, "Standard error of the bits per dim, the test examples being a sample themselves."
    ),
    "bits_per_dim_noise_std": Metric(
        "bits/dim",
        None,
        "Standard deviation of the test split's bits per dim between draws of the dequantisation noise.",
    ),
    "test_examples": Metric("", None, "Test examples that were measured, the first of the split."),
    "noise_draws": Metric("", None, "Draws of the dequantisation noise that the bits per dim are averaged over."),
    "nll_nats": Metric("nats", "lower", "Mean negative log-likelihood of a test example, in data space."),
    "entropy_floor_bits_per_dim": Metric(
        "bits/dim", None, "Entropy of the true density: in expectation no model has fewer bits per dim."
    ),
    "true_bits_per_dim": Metric(
        "bits/dim", None, "Bits per dim of the true density on the test examples that the model is measured on."
    ),
    "invertibility_error_max": Metric(
        "data units",
        "lower",
        "Largest |x - decode(encode(x))| over test points, in float32; images are dequantised to between 0 and 1; of "
        "an autoencoder x is what its encoder makes of them.",
    ),
    "invertibility_error_mean": Metric(
        "data units", "lower", "Mean of |x - decode(encode(x))| over test points, float32."
    ),
    "invertibility_error_p99": Metric(
        "data units", "lower", "99th percentile of |x - decode(encode(x))| over test points, float32."
    ),
    "invertibility_error_max_float64": Metric(
        "data units", "lower", "Largest |x - decode(encode(x))| over test points, in float64."
    ),
    "invertibility_error_max_noise": Metric(
        "data units", "lower", "Largest |x - decode(encode(x))| over uniform noise that covers the data, float32."
    ),
    "invertibility_error_max_noise_float64": Metric(
        "data units", "lower", "Largest |x - decode(encode(x))| over uniform noise that covers the data, in float64."
    ),
    "latent_invertibility_error_max": Metric(
        "latent units", "lower", "Largest |z - encode(decode(z))| over prior samples, in float32."
    ),
    "latent_invertibility_error_max_float64": Metric(
        "latent units", "lower", "Largest |z - encode(decode(z))| over prior samples, in float64."
    ),
    "non_finite_share": Metric(
        "", "lower", "Share of float32 round trips of data, prior samples and noise that are not finite."
    ),
    "non_finite_share_float64": Metric("", "lower", "The same share in float64."),
    "logdet_error_max": Metric(
        "nats",
        "lower",
        "Largest error of either log-determinant against autograd's slogdet, and of their sum against 0; float64.",
    ),
    "divergence_error_max": Metric(
        "nats",
        "lower",
        "Largest error, per unit of time, of the divergence that Hutchinson's probes estimate: with all unit vectors "
        "for probes it must be the trace of autograd's Jacobian of the field; float64.",
    ),
    "sample_log_prob_error_max": Metric(
        "bits/dim",
        "lower",
        "Largest difference between the log-density of a sample by the way there and by the way back, in float64; of "
        "an autoencoder, of its codes.",
    ),
    "log_prob_error_max": Metric(
        "bits/dim",
        "lower",
        "Largest difference between log-densities of test data in float32 and in float64; of an autoencoder, of its "
        "codes.",
    ),
    "reconstruction_error": Metric(
        "", "lower", "Mean squared error per pixel of an autoencoder's test images, whose shades are from 0 to 1."
    ),
    "psnr": Metric("dB", "higher", "Peak signal-to-noise ratio: -10 log₁₀ of the reconstruction error."),
    "latent_bits_per_dim": Metric(
        "bits/dim",
        None,
        "-log p / (d ln 2) under an autoencoder's flow of the d numbers that its encoder makes of a test image, with "
        "the noise that it learnt from; between encoders that do not standardise them it cannot be compared.",
    ),
    "sliced_wasserstein": Metric(
        "data units",
        "lower",
        "Sliced 1-Wasserstein distance between samples and the test split; of images in grey levels. From the true "
        "distribution it is not 0 either.",
    ),
    "energy_distance": Metric(
        "data units",
        "lower",
        "Energy distance between samples and the test split; of images in grey levels. From the true distribution it "
        "is not 0 either.",
    ),
    "wasserstein_2": Metric(
        "data units",
        "lower",
        "Exact 2-Wasserstein distance between up to 1,000 samples and as many test points; from the true distribution "
        "it is not 0 either, but for instance 0.3 on transports to moons, 0.6 to eight Gaussians.",
    ),
    "path_energy": Metric(
        "flow units²", "lower", "Mean integral of the squared speed along the paths of samples from start to data."
    ),
    "normalised_path_energy": Metric(
        "",
        "lower",
        "|E - W₂²| / W₂² of the path energy E and the squared 2-Wasserstein distance from start to data, which is the "
        "energy of the straightest transport; with 1,000 points each, E / W₂² is uncertain by about 5 %.",
    ),
    "kl_to_target": Metric(
        "nats", "lower", "KL(model ‖ target) by quadrature on a grid, the target's normaliser by the same quadrature."
    ),
    "density_mass": Metric(
        "",
        None,
        "Integral of the model's density over the grid: 1 but for what lies outside.",
    ),
    "outside_share": Metric("", None, "Share of the model's samples that lie outside of the grid."),
    "minor_mode_share": Metric(
        "", "higher", "Share of samples in the less visited of the two modes: 0.5 if both are found."
    ),
    "learnt_mean_error": Metric(
        "true std", "lower", "Largest |learnt mean - true mean| over features, in true standard deviations."
    ),
    "learnt_std_error": Metric(
        "true std", "lower", "Largest |learnt std - true std| over features, in true standard deviations."
    ),
    "teacher_bits_per_dim": Metric(
        "bits/dim", None, "Bits per dim of a student's teacher on the same test split with the same noise."
    ),
    "kl_to_teacher": Metric("nats", "lower", "KL(student ‖ teacher) of an example, a mean over the student's samples."),
    "kl_to_teacher_standard_error": Metric("nats", None, "Standard error of that mean."),
    "distillation_speedup": Metric(
        "", "higher", "How many times faster a student samples than its teacher does here.", host_dependent=True
    ),
    "distillation_speedup_naive": Metric(
        "",
        "higher",
        "How many times faster a student samples than its teacher would by a pass of the whole network per feature.",
        host_dependent=True,
    ),
    "solver_tolerance": Metric("", None, "Tolerance of the solver of a continuous flow, absolute and relative."),
    "log_prob_evaluations": Metric("", "lower", "Evaluations of the vector field that a density took."),
    "sample_evaluations": Metric("", "lower", "Evaluations of the vector field that a sample took."),
    "bits_per_dim_solver_error": Metric(
        "bits/dim",
        "lower",
        "|Change| of the bits per dim of some test points in float64 and at a tenth of the solver's tolerance.",
    ),
    "invertibility_error_max_tightened": Metric(
        "data units",
        "lower",
        "Largest |x - decode(encode(x))| over test points, in float64 and at a tenth of the solver's tolerance.",
    ),
    "probes": Metric("", None, "Random signs of Hutchinson's estimate of the divergence."),
    "bits_per_dim_probe_std": Metric(
        "bits/dim", "lower", "Standard deviation of an example's bits per dim between single probes."
    ),
    "parameters": Metric("", "lower", "Learnt numbers in the model, those that a mask hides too."),
    "train_seconds": Metric(
        "s",
        "lower",
        "Time of one training, validation included; on a CPU of its thread alone, without what else ran there.",
        host_dependent=True,
    ),
    "train_samples_per_second": Metric("1/s", "higher", "Training examples per second.", host_dependent=True),
    "log_prob_samples_per_second": Metric("1/s", "higher", "Densities evaluated per second.", host_dependent=True),
    "sample_samples_per_second": Metric("1/s", "higher", "Samples drawn per second.", host_dependent=True),
    "peak_memory_mb": Metric(
        "MB", "lower", "Largest memory of the training process (on a GPU: of its allocator).", host_dependent=True
    ),
}

# How many times the prior's standard deviation latents have whose round trips are measured.
LATENT_STDS = (1, 2, 3, 4, 5)
_STARTS = {
    "data": "test data",
    "samples": "samples of the model",
    "noise": "uniform noise that covers the data",
    **{f"latents_{k}_std": f"latents of {k} times the prior's standard deviation" for k in LATENT_STDS},
}
for _start, _words in _STARTS.items():
    METRICS[f"l2_error_{_start}"] = Metric(
        "data units" if "latents" not in _start else "latent units",
        "lower",
        f"Mean length of what a float32 round trip of {_words} misses its start by; of those that are finite.",
    )
    METRICS[f"lost_share_{_start}"] = Metric(
        "", "lower", f"Share of float32 round trips of {_words} that are not finite."
    )

# Evaluations of a continuous flow's field that samples of few steps take.
FEW_EVALUATIONS = (2, 4, 8, 16, 32, 64)
_METHODS = {
    "data": "that are other test data, as many",
    "adaptive": "by the adaptive solver at its tolerance",
    **{f"euler_{n}": f"by {n} steps of Euler's method" for n in FEW_EVALUATIONS},
    **{f"midpoint_{n}": f"by {n // 2} steps of the midpoint method" for n in FEW_EVALUATIONS},
}
for _method, _words in _METHODS.items():
    METRICS[f"energy_distance_{_method}"] = Metric(
        "data units", "lower", f"Energy distance between test data and samples {_words}, from the same latents."
    )

# 2-D data whose moments are known: the report sets the learnt beside the true.
for _feature in (1, 2):
    for _moment in ("mean", "std"):
        METRICS[f"learnt_{_moment}_x{_feature}"] = Metric(
            "data units", None, f"{_moment} of feature {_feature} under the model."
        )
        METRICS[f"true_{_moment}_x{_feature}"] = Metric(
            "data units", None, f"{_moment} of feature {_feature} in truth."
        )
