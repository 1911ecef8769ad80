"""What runs tell beyond their own numbers."""
