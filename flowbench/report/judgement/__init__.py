"""What the values of a suite allow to conclude: pure functions of its frame and of numbers, without text."""
