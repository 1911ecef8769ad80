import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_asking_for_the_tasks_is_light():
    """They are, whenever a setting of theirs is misspelt."""
    heavy = "torch", "transformers", "datasets", "evaluate", "sklearn", "pyarrow", "pycocotools.coco"
    code = f"""
import sys
from llmimg.tasks.base import TASKS
TASKS.entries()
print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
