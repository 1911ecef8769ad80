"""What is asked of an image: one file a task."""
