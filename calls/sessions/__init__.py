"""What every kind of voice session is built of: its tasks, its deadlines, its sentences."""
