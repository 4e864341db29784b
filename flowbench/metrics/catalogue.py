"""The catalogue: one entry for each metric. Its type says what an entry means."""

from functools import partial
from itertools import product

from flowbench.metrics.metric import Family, Form, Group, Metric
from flowbench.metrics.values import Better


def _round_trip(unit: str, family: Family, head: str, about: str) -> Metric:
    return Metric(unit, "lower", about, family, head, over_seeds="worst", reproduces="rounding", form="power")


def _cost(
    unit: str, better: Better, head: str, about: str, family: Family = "cost", form: Form = "rate", short: str = ""
) -> Metric:
    return Metric(unit, better, about, family, head, host_dependent=True, form=form, short=short)


# A table: what a program must know of a metric, and below it what a reader is told.
# fmt: off
METRICS: dict[str, Metric] = {
    # How good a flow is.
    "kl_to_target": Metric("nats", "lower", family="quality", head="KL to target, nats",
        short=" nats", said="nats of KL to the target",
        about="KL(model ‖ target) by quadrature on a grid, the target's normaliser by the same quadrature."),
    "bits_per_dim": Metric("bits/dim", "lower", family="quality", head="bits per dim", level=True,
        truth="true_bits_per_dim", short=" bits", said="bits per dim",
        about="-log p(x) / (D ln 2) on the test split, in data space; where uniform noise dequantises grey levels, an "
              "upper bound on theirs."),
    "sliced_wasserstein": Metric("data units", "lower", family="quality", head="sliced Wasserstein",
        about="Sliced 1-Wasserstein distance between samples and the test split; of images in grey levels. Samples of "
              "the true distribution have a distance above 0, too."),
    "energy_distance": Metric("data units", "lower", family="quality", head="energy distance",
        about="Energy distance between samples and the test split; of images in grey levels. Samples of the true "
              "distribution have a distance above 0, too."),
    "wasserstein_2": Metric("data units", "lower", family="quality", head="2-Wasserstein",
        about="Exact 2-Wasserstein distance between up to 1,000 samples and equally many test points. Samples of the "
              "true distribution have a distance above 0, too: for instance 0.3 on transports to moons, 0.6 to eight "
              "Gaussians."),
    "minor_mode_share": Metric("", "higher", family="quality", head="minor mode", reproduces="share",
        about="Share of samples in the less visited of the two modes: 0.5 if both are found."),
    # What belongs to a log-likelihood.
    "nll_nats": Metric("nats", "lower", family="likelihood", level=True,
        about="Mean negative log-likelihood of a test example, in data space."),
    "bits_per_dim_standard_error": Metric("bits/dim", None, family="likelihood",
        about="Standard error of the bits per dim, since the test examples are a sample themselves."),
    "bits_per_dim_noise_std": Metric("bits/dim", None, family="likelihood",
        about="Standard deviation of the test split's bits per dim between draws of the dequantisation noise."),
    "noise_draws": Metric("", None, family="likelihood", reproduces="exact",
        about="Draws of the dequantisation noise that the bits per dim are averaged over."),
    "entropy_floor_bits_per_dim": Metric("bits/dim", None, family="truth", level=True,
        about="Entropy of the true density: in expectation no model has fewer bits per dim."),
    "true_bits_per_dim": Metric("bits/dim", None, family="truth", level=True,
        about="Bits per dim of the true density on the test examples that the model is measured on."),
    "learnt_mean_error": Metric("true std", "lower", family="moments", head="error of the mean, in true std",
        about="Largest |learnt mean - true mean| over features, in true standard deviations.", reproduces="share"),
    "learnt_std_error": Metric("true std", "lower", family="moments", head="error of the std, in true std",
        about="Largest |learnt std - true std| over features, in true standard deviations.", reproduces="share"),
    # Certificates: round trips, log-determinants, densities.
    "invertibility_error_max": _round_trip("data units", "float32", "data, max",
        about="Largest |x - decode(encode(x))| over test points, in float32; images are dequantised to between 0 and "
              "1; for an autoencoder, x is a code of its encoder."),
    "invertibility_error_p99": _round_trip("data units", "float32", "data, p99",
        about="99th percentile of |x - decode(encode(x))| over test points, in float32."),
    "invertibility_error_mean": _round_trip("data units", "float32", "data, mean",
        about="Mean of |x - decode(encode(x))| over test points, in float32."),
    "invertibility_error_max_noise": _round_trip("data units", "float32", "noise, max",
        about="Largest |x - decode(encode(x))| over uniform noise that covers the data, in float32."),
    "latent_invertibility_error_max": _round_trip("latent units", "float32", "latent, max",
        about="Largest |z - encode(decode(z))| over prior samples, in float32."),
    "non_finite_share": _round_trip("", "float32", "not finite",
        about="Share of float32 round trips of data, prior samples and noise that are not finite."),
    "invertibility_error_max_float64": _round_trip("data units", "float64", "data, max",
        about="Largest |x - decode(encode(x))| over test points, in float64."),
    "invertibility_error_max_noise_float64": _round_trip("data units", "float64", "noise, max",
        about="Largest |x - decode(encode(x))| over uniform noise that covers the data, in float64."),
    "latent_invertibility_error_max_float64": _round_trip("latent units", "float64", "latent, max",
        about="Largest |z - encode(decode(z))| over prior samples, in float64."),
    "fixed_point_iterations": Metric("", "lower", family="float64", head="iterations of the inverse, most",
        about="Most steps that the fixed point of a residual layer takes for a prior sample, in float64.",
        over_seeds="worst", reproduces="rounding", form="count"),
    "fixed_point_error": _round_trip("", "float64", "error of the fixed point",
        about="Largest bound on the distance of such a fixed point from the solution, relative to 1 + the length of "
              "what is inverted; float64."),
    "non_finite_share_float64": _round_trip("", "float64", "not finite", about="The same share in float64."),
    "logdet_error_max": _round_trip("nats", "log-determinant", "log-det., max",
        about="Largest error of either log-determinant against autograd's slogdet, and of their sum against 0; "
              "float64."),
    "divergence_error_max": _round_trip("nats", "log-determinant", "divergence, max",
        about="Largest error, per unit of time, of the divergence that Hutchinson's probes estimate: with all unit "
              "vectors for probes it must be the trace of autograd's Jacobian of the field; float64."),
    "sample_log_prob_error_max": _round_trip("bits/dim", "density", "density there and back",
        about="Largest difference between the log-density of a sample by decode and by encode, in float64; for an "
              "autoencoder, of its codes."),
    "log_prob_error_max": _round_trip("bits/dim", "density", "density float32 – float64",
        about="Largest difference between log-densities of test data in float32 and in float64; for an autoencoder, "
              "of its codes."),
    "density_mass": Metric("", None, family="density", head="mass on grid", form="share",
        about="Integral of the model's density over the grid: 1 less what lies outside."),
    "outside_share": Metric("", None, family="density", head="samples outside", reproduces="share", form="share",
        about="Share of the model's samples that lie outside of the grid."),
    "mass_error": Metric("", "lower", family="density", head="mass error",
        about="|mass on the grid + share of samples outside - 1|, which sampling alone makes as large as 0.01.",
        over_seeds="worst", reproduces="share", form="power"),
    # Continuous flows.
    "solver_tolerance": Metric("", None, family="solver", head="tolerance", reproduces="exact", form="power",
        about="Tolerance of the solver of a continuous flow, absolute and relative."),
    "log_prob_evaluations": Metric("", "lower", family="solver", head="evaluations, density",
        about="Evaluations of the vector field for one density.", reproduces="rounding", form="count"),
    "sample_evaluations": Metric("", "lower", family="solver", head="evaluations, sample",
        about="Evaluations of the vector field for one sample.", reproduces="rounding", form="count"),
    "bits_per_dim_solver_error": _round_trip("bits/dim", "solver", "solver error, bits per dim",
        about="|Change| of the bits per dim of some test points in float64 and at a tenth of the solver's tolerance."),
    "probes": Metric("", None, family="solver", reproduces="exact",
        about="Random signs of Hutchinson's estimate of the divergence."),
    "bits_per_dim_probe_std": Metric("bits/dim", "lower", family="solver", head="probe spread, bits per dim",
        about="Standard deviation of an example's bits per dim between single probes.", form="mean"),
    "path_energy": Metric("flow units²", "lower", family="solver", head="path energy",
        about="Mean integral of the squared speed along the paths of samples from start to data."),
    "normalised_path_energy": Metric("", "lower", family="solver", head="normalised path energy", reproduces="share",
        about="|E - W₂²| / W₂² of the path energy E and the squared 2-Wasserstein distance from start to data, which "
              "is the energy of the straightest transport; with 1,000 points each, E / W₂² is uncertain by about 5 %."),
    "invertibility_error_max_tightened": _round_trip("data units", "solver", "round trip, tightened",
        about="Largest |x - decode(encode(x))| over test points, in float64 and at a tenth of the solver's tolerance."),
    # Autoencoders.
    "reconstruction_error": Metric("", "lower", family="autoencoder", head="squared error",
        about="Mean squared error per pixel of an autoencoder's test images, whose shades are from 0 to 1."),
    "psnr": Metric("dB", "higher", family="autoencoder", head="PSNR, dB", level=True,
        about="Peak signal-to-noise ratio: -10 log₁₀ of the reconstruction error."),
    "latent_bits_per_dim": Metric("bits/dim", None, family="autoencoder", head="bits per latent dim", level=True,
        about="-log p / (d ln 2) of the d numbers that an encoder makes of a test image, with the noise that the flow "
              "learnt from. Encoders that do not standardise them cannot be compared."),
    # Students.
    "teacher_bits_per_dim": Metric("bits/dim", None, family="distillation", head="teacher's bits per dim", level=True,
        about="Bits per dim of a student's teacher on the same test split with the same noise."),
    "kl_to_teacher": Metric("nats", "lower", family="distillation", head="KL to teacher, nats",
        about="KL(student ‖ teacher) of an example, a mean over the student's samples."),
    "kl_to_teacher_standard_error": Metric("nats", None, family="distillation", head="standard error, nats",
        about="Standard error of that mean.", form="mean"),
    "distillation_speedup": _cost("", "higher", "faster than teacher here", family="distillation", form="times",
        about="How many times faster a student samples than its teacher does here."),
    "distillation_speedup_naive": _cost("", "higher", "faster than D passes", family="distillation", form="times",
        about="How many times faster a student samples than its teacher would by a pass of the whole network per "
              "feature."),
    # Size and cost.
    "parameters": Metric("", "lower", family="size", head="parameters", reproduces="exact", form="count",
        about="Learnt numbers in the model, with those that a mask hides."),
    "train_seconds": _cost("s", "lower", "training, s", form="range", short=" s",
        about="Time of one training, validation included; on a CPU of its thread alone, without what else ran there."),
    "evaluate_seconds": _cost("s", "lower", "", form="mean",
        about="Time of measuring one seed and drawing its pictures; on a CPU of its thread alone."),
    "train_samples_per_second": _cost("1/s", "higher", "training, 1/s", about="Training examples per second."),
    "log_prob_samples_per_second": _cost("1/s", "higher", "density, 1/s", about="Densities evaluated per second."),
    "sample_samples_per_second": _cost("1/s", "higher", "sampling, 1/s", short="/s", about="Samples drawn per second."),
    "peak_memory_mb": _cost("MB", "lower", "peak memory, MB", form="mean",
        about="Largest memory of the training process (on a GPU: of its allocator)."),
}
# fmt: on

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
_stress = partial(Metric, better="lower", family="stress", reproduces="rounding")
for _start, (_words, _head) in STARTS.items():
    _unit = "latent units" if "latents" in _start else "data units"
    _about = f"Mean distance between {_words} and their float32 round trips, of those that are finite."
    METRICS[f"l2_error_{_start}"] = _stress(_unit, about=_about, head=_head, group=_LENGTHS)
    _about = f"Share of float32 round trips of {_words} that are not finite."
    METRICS[f"lost_share_{_start}"] = _stress("", about=_about, group=_LOST)

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
for _x, _moment in product((1, 2), ("mean", "std")):
    _about, _truth = f"{_moment} of feature {_x}", f"true_{_moment}_x{_x}"
    _of_moment = partial(Metric, "data units", None, level=_moment == "mean")
    METRICS[f"learnt_{_moment}_x{_x}"] = _of_moment(
        f"{_about} under the model.", "moments", f"{_moment} of x{_x}", truth=_truth
    )
    METRICS[_truth] = _of_moment(f"{_about} in truth.", "truth")

# What a report writes of a lost seed in place of its values: the step at which it was lost, by the seed's status.
LOST_AT = {"diverged": "diverged_at", "failed": "failed_at"}


def of_family(*families: Family) -> dict[str, Metric]:
    """The metrics of some families, by name, in the order of the catalogue."""
    return {name: metric for name, metric in METRICS.items() if metric.family in families}


def stored_facts() -> list[tuple]:
    """What stored results depend on in each entry. Another sentence or head makes no result stale."""
    return [(name, m.unit, m.better, m.over_seeds, m.host_dependent) for name, m in METRICS.items()]
