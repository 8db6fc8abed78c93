"""`--dry-run`: says what a training would do, and draws what its images become."""
