"""A convolutional autoencoder of images with a flow in its latent space."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from flowbench.config import PositiveInt, Within
from flowbench.core import Event, FlowModule, FlowSequential, Generator, ShapeError, require_levels, sum_event
from flowbench.flows._priors import standard_normal
from flowbench.layers._parts import coupling_parts
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.layers.permutation import Permutation
from flowbench.networks import autoencoder
from flowbench.networks.mlp import mlp

Training = Literal["likelihood", "reconstruction"]

# Standard deviation of the Gaussian about a reconstruction, which turns squared errors into nats.
_PIXEL_STD = 0.1
# Standard deviation of the noise on codes; that of the codes is one.
_CODE_NOISE = 0.1


def build(
    event: Event,
    *,
    flow_learns_by: Training,
    channels: Annotated[list[PositiveInt], Within(min_length=1)],
    latent: PositiveInt,
    layers: PositiveInt,
    hidden: list[PositiveInt],
) -> Generator:
    """An autoencoder with affine couplings of its codes, each followed by a swap of the halves.

    Args:
        flow_learns_by: ``likelihood``: the model can generate; ``reconstruction``: the flow is only a
            layer of the autoencoder and learns no density.
        channels: of each strided convolution of the encoder; the decoder mirrors it.
        latent: dimensions of the latent space.
        layers: number of couplings.
        hidden: sizes of the hidden layers of each coupling's network.

    Example:
        >>> import torch
        >>> options = {"channels": [4, 8], "latent": 6, "layers": 2, "hidden": [16]}
        >>> model = build(Event((1, 8, 8), levels=17), flow_learns_by="likelihood", **options)
        >>> z, _ = model.encode(torch.randint(17, (7, 1, 8, 8)))
        >>> z.shape, model.generate(z).shape
        (torch.Size([7, 6]), torch.Size([7, 1, 8, 8]))
    """
    if event.levels is None:
        raise ShapeError("an autoencoder takes images with grey levels")
    kept, changed = coupling_parts(latent, swap=False)
    maps: list[FlowModule] = []
    for _ in range(layers):
        maps += [AffineCoupling(mlp(kept, hidden, 2 * changed)), Permutation.halves(latent)]
    encoder = autoencoder.encoder(event.shape, channels, latent)
    decoder = autoencoder.decoder(event.shape, channels, latent)
    return FlowAutoencoder(encoder, FlowSequential(*maps), decoder, latent, event.levels, flow_learns_by)


class FlowAutoencoder(Generator):
    """An encoder, a flow and a decoder. It has no density of images, since the decoder reaches only a thin set of them.

    The encoder turns images into codes, which are the flow's data: `transform_input`, `encode` and the errors of the
    inverse concern codes. It is trained in one of two ways:

    ``likelihood`` (Xiao et al. 2019, 1905.10485): decoder(encoder(x)) learns to reconstruct, and the flow learns the
    density of the codes. No gradient of the density reaches the encoder, which would shrink its codes to raise it. The
    scale of the codes cannot raise it either: batch normalisation without learnt parameters standardises them, and
    Gaussian noise with a tenth of their standard deviation is added. So their density is bounded, in the same unit for
    every training, and the decoder tolerates small errors of the flow. `generate` inverts the flow.

    ``reconstruction``: decoder(flow(encoder(x))) learns only to reconstruct. Codes end with a ReLU, which sets many to
    zero. The decoder takes the flow's output, so `generate` gives it samples of the prior, which training never used.

    Args:
        encoder: from ``(batch, *event)`` in the unit interval to ``(batch, latent)``.
        transform: the flow, of ``(batch, latent)``.
        decoder: from ``(batch, latent)`` to ``(batch, *event)`` in the unit interval.
        latent: dimensions of the latent space.
        levels: grey levels of the images.
        flow_learns_by: one of the two ways.
    """

    loss_unit = "nats of images and codes"

    def __init__(
        self,
        encoder: nn.Module,
        transform: FlowModule,
        decoder: nn.Module,
        latent: int,
        levels: int,
        flow_learns_by: Training,
    ):
        super().__init__(transform, standard_normal(latent))
        self.generative = flow_learns_by == "likelihood"
        # Batch normalisation takes a standard deviation of the codes.
        self.least_batch = 2 if self.generative else 1
        self.encoder = nn.Sequential(encoder, nn.BatchNorm1d(latent, affine=False) if self.generative else nn.ReLU())
        self.decoder = decoder
        self.white = levels - 1

    def transform_input(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of images ``(batch, *event)``, ``(batch, latent)``, noise included, and zeros ``(batch,)``."""
        codes = self._codes(self._shades(x))
        if self.generative:
            codes = codes + _CODE_NOISE * torch.randn_like(codes)
        return codes, codes.new_zeros(len(codes))

    def generate(self, z: Tensor) -> Tensor:
        """Images ``(batch, *event)`` in grey levels from latents ``(batch, latent)``."""
        codes = self.transform.decode(z)[0] if self.generative else z
        return (self.white * self.decoder(codes)).round()

    def reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images in the unit interval, and their reconstructions without noise."""
        x = self._shades(x)
        return x, self._reconstruction(self._codes(x))

    def loss(self, batch: Tensor) -> Tensor:
        """Mean nats of an image: -log N(x; x', 0.1²) up to a constant, and -log p(code) where the flow learns by it."""
        codes, _ = self.transform_input(batch)
        errors = self._shades(batch) - self._reconstruction(codes)
        nats = sum_event(errors.square()).mean() / (2 * _PIXEL_STD**2)
        if self.generative:
            z, logdet = self.transform.encode(codes.detach())
            nats = nats - (self.log_prior(z) + logdet).mean()
        return nats

    def initialise(self, x: Tensor) -> None:
        """Nothing here depends on data before training."""

    def _shades(self, x: Tensor) -> Tensor:
        """Grey levels as numbers in the unit interval."""
        x = self.events(x)
        require_levels(x, self.white + 1, wait=not self.training)
        return x.to(next(self.parameters()).dtype) / self.white

    def _codes(self, shades: Tensor) -> Tensor:
        return self.encoder(shades).to(shades.dtype)  # the flow's numbers stay wide under autocast

    def _reconstruction(self, codes: Tensor) -> Tensor:
        return self.decoder(codes if self.generative else self.transform.encode(codes)[0]).to(codes.dtype)
