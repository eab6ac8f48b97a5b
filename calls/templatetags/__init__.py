"""What templates of the project may load."""
