"""Drop-in replacements for the gradient checks of other packages: their signatures, fdcore's judgement.

`fdcore.compat.scipy` for SciPy's derivatives and its check, `fdcore.compat.torch.gradcheck` and ``gradgradcheck``,
`fdcore.compat.jax.check_grads`, `fdcore.compat.autograd.check_grads`, `fdcore.compat.pyadjoint.taylor_test`. Tolerances
are accepted and not used: the error bars decide.
"""
