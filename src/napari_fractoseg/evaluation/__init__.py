"""How well labels agree with labels: confusion matrices and the figures made of them."""
