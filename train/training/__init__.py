"""One session of training: `start.train_model`, `resume.resume_training`."""
