"""Correct gradients and the bugs that are planted in them, to measure what a checker misses and what it makes up."""
