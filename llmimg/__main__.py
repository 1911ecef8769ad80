"""`python -m llmimg`."""

from llmimg.cli import main

if __name__ == "__main__":
    main()
