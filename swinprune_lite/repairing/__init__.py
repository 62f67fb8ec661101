"""What cutting took, given back to the weights that stay: scale, and what kept inputs can say of lost ones."""
