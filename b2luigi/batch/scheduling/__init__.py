"""luigi's scheduler, with an index; and the central one, waited for while it is away."""
