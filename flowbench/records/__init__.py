"""What a cell leaves on disk, and what DVC's lock says of it."""
