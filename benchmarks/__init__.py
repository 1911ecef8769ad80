"""What `make bench` runs: how fast llmimg is, beside the plain way to do the same, in one run on one machine.

`python -m benchmarks [names…] [key=value…]` prints one JSON object; `benchmarks.settings` has the names and keys.
"""
