"""Drop-in replacements for other packages' functions: their signatures, fdcore's derivatives and judgement.

`fdcore.compat.scipy` for ``scipy.optimize``'s finite differences and ``scipy.differentiate``, `fdcore.compat.jacobi`;
and the checks `fdcore.compat.scipy.check_grad`, `fdcore.compat.torch.gradcheck` and ``gradgradcheck``,
`fdcore.compat.jax.check_grads`, `fdcore.compat.autograd.check_grads`, `fdcore.compat.pyadjoint.taylor_test`. Tolerances
of checks are accepted and not used: the error bars decide.
"""
