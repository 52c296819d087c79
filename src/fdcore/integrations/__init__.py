"""Other packages' functions: PyTorch modules, JAX functions, SymPy expressions, numba functions.

Nothing is imported until it is used: ``import fdcore.integrations.torch`` needs no PyTorch, its functions do.
"""
