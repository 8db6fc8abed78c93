"""What happens at the ends of steps and epochs, besides training."""
