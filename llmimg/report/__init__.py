"""What a finished run has to say: one self-contained HTML page, and a small table for the terminal."""
