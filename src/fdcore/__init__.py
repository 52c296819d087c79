"""Numerical derivatives at C speed."""
