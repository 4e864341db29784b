"""What each data set is, in a sentence for the reader of a report."""

from __future__ import annotations

ABOUT = {
    "gaussian": "Points in the plane from a Gaussian with independent coordinates, whose moments a model must find.",
    "moons": "Points in the plane on two interleaved half circles, blurred by Gaussian noise.",
    "eight_gaussians": "Points in the plane from eight equal Gaussians on a circle: modes that lie apart.",
    "checkerboard": "Points spread evenly over the dark squares of a checkerboard: a density with sharp edges.",
    "normal_to_moons": (
        "Two wide moons in the plane, to which a standard normal is transported: a protocol for flow matching "
        "(Tong et al. 2024, arXiv 2302.00482)."
    ),
    "normal_to_eight_gaussians": (
        "Eight equal Gaussians on a circle of radius 5, to which a standard normal is transported "
        "(Tong et al. 2024, arXiv 2302.00482)."
    ),
    "eight_gaussians_to_moons": (
        "The two wide moons, to which the eight Gaussians of radius 5 are transported: models start there, and not "
        "at a normal (Tong et al. 2024, arXiv 2302.00482, whose transport runs the other way)."
    ),
    "digits": "Scikit-learn's handwritten digits: 1,797 grey images of 8 × 8 pixels with levels 0 to 16.",
    "two_modes": (
        "An energy in the plane, learnt without data: a ring of radius 2 of which two opposite ends remain "
        "(after Rezende and Mohamed 2015, table 1)."
    ),
    "mnist": "Handwritten digits: 70,000 grey images of 28 × 28 pixels (LeCun, Bottou, Bengio and Haffner 1998).",
    "fashion_mnist": (
        "Articles of clothing: 70,000 grey images of 28 × 28 pixels (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747)."
    ),
    "cifar10": "Photographs of ten kinds of things: 60,000 colour images of 32 × 32 pixels (Krizhevsky 2009).",
}
