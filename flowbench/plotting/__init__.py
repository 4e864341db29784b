"""Pictures of one cell: densities, sheets of images, film strips."""
